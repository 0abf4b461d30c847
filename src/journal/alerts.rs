//! Raising alerts. Never blocks, never fails: what cannot be published yet waits, and what cannot wait is logged.

use std::time::Duration;

use chrono::Utc;
use flexgate_schemas::{
    Alert, NodeId,
    alert::{AlertKind, Severity},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use uuid::Uuid;

use super::jetstream::{Link, Names};
use crate::drain::Tasks;

/// How many alerts wait for a connection. Beyond that new ones are only logged: the first tell more than the last.
const WAITING_MAX: usize = 256;
/// The pause before an alert is published again.
const PUBLISH_PAUSE: Duration = Duration::from_secs(1);
/// How long what waits at the end may take, all together.
const LAST_WITHIN: Duration = Duration::from_secs(2);

/// A handle that raises alerts. Clones share it.
#[derive(Debug, Clone)]
pub struct Alerts {
    node: NodeId,
    waiting: mpsc::Sender<Alert>,
}

impl Alerts {
    /// A handle, and where its alerts come out; [`publish`] takes them to the stream.
    pub fn channel(node: NodeId) -> (Self, mpsc::Receiver<Alert>) {
        let (waiting, alerts) = mpsc::channel(WAITING_MAX);
        (Self { node, waiting }, alerts)
    }

    /// Raises an alert that happened just now.
    pub fn raise(&self, kind: AlertKind) {
        self.raise_once(Uuid::now_v7().to_string(), kind);
    }

    /// Raises an alert under an id that several processes derive alike, so that the stream keeps one of them.
    pub fn raise_once(&self, id: String, kind: AlertKind) {
        let alert = Alert {
            id,
            node: self.node.clone(),
            timestamp: Utc::now().into(),
            kind,
        };
        let kind = alert.kind.type_name();
        match alert.kind.severity() {
            Severity::Info => tracing::info!(kind, id = alert.id, "alert"),
            Severity::Warning | Severity::Critical => tracing::warn!(kind, id = alert.id, "alert"),
        }
        metrics::counter!("flexgate_alerts_total", "type" => kind).increment(1);
        if let Err(error) = self.waiting.try_send(alert) {
            let (mpsc::error::TrySendError::Full(alert) | mpsc::error::TrySendError::Closed(alert)) = error;
            tracing::error!(?alert, "too many alerts wait for NATS: this one is only here");
        }
    }
}

/// Takes alerts to the stream, in order, each until it is acknowledged. What waits when the tasks are stopped is given one
/// more moment: the last that a node says is that it leaves.
pub async fn publish(link: Link, names: Names, mut alerts: mpsc::Receiver<Alert>, tasks: Tasks) {
    let mut unpublished = None;
    let publishing = async {
        loop {
            let alert = match unpublished.take() {
                Some(alert) => alert,
                None => alerts.recv().await?,
            };
            let alert = unpublished.insert(alert);
            while let Err(reason) = publish_one(&link, &names, alert).await {
                tracing::debug!(reason, id = alert.id, "alert not published yet");
                tokio::time::sleep(PUBLISH_PAUSE).await;
            }
            unpublished = None;
        }
    };
    let _: Option<Option<std::convert::Infallible>> = tasks.unless_stopped(publishing).await;
    let until = Instant::now() + LAST_WITHIN;
    let waiting = unpublished
        .into_iter()
        .chain(std::iter::from_fn(|| alerts.try_recv().ok()));
    for alert in waiting {
        let publishing = publish_one(&link, &names, &alert);
        let published = link.is_up() && matches!(timeout_at(until, publishing).await, Ok(Ok(())));
        if !published {
            tracing::error!(?alert, "shutting down before this alert was published");
        }
    }
}

async fn publish_one(link: &Link, names: &Names, alert: &Alert) -> Result<(), String> {
    let subject = names.alert_subject(alert.kind.type_name());
    link.publish(subject, &alert.envelope(), alert).await
}

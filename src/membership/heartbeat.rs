//! What a node says of itself.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use flexgate_schemas::{
    BootId, NodeId, READER_LEVEL, Timestamp,
    alert::AlertKind,
    node::{Heartbeat, NodeStatus, Position, Serving},
};
use tokio::{sync::watch, time::MissedTickBehavior};

use super::{HEARTBEAT_EVERY, Identity};
use crate::{
    drain::Tasks,
    journal::{
        Fold, Status, View,
        alerts::Alerts,
        jetstream::{Link, Names},
    },
};

/// How long one report may take.
const REPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// Reports one node.
pub struct Reporter {
    link: Link,
    names: Names,
    alerts: Alerts,
    node: NodeId,
    boot: BootId,
    started_at: Timestamp,
    proxy: String,
    requests: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl Reporter {
    /// A reporter for a node whose data plane listens on `proxy` and counts its requests.
    pub fn new(
        (link, names, alerts): (Link, Names, Alerts),
        identity: &Identity,
        proxy: String,
        requests: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self {
            link,
            names,
            alerts,
            node: identity.node.clone(),
            boot: identity.boot.clone(),
            started_at: Utc::now().into(),
            proxy,
            requests: Box::new(requests),
        }
    }

    /// Reports every two seconds and at every change of status; says goodbye when the tasks are stopped. That it joins and
    /// leaves is an alert, too: the bucket has the newest report only.
    pub async fn run(self, mut view: watch::Receiver<Arc<View>>, tasks: Tasks) {
        self.joins(view.borrow().revision());
        let mut ticks = tokio::time::interval(HEARTBEAT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut requests, mut status, mut stored) = ((self.requests)(), None, None);
        loop {
            let before = requests;
            requests = (self.requests)();
            let rate = requests.saturating_sub(before) / HEARTBEAT_EVERY.as_secs();
            let latest = view.borrow_and_update().clone();
            stored = self.report(&latest, rate).await.or(stored);
            status.replace(latest.status.clone());
            let changed = async {
                tokio::select! {
                    _ = ticks.tick() => {}
                    _ = view.wait_for(|view| Some(&view.status) != status.as_ref()) => {}
                }
            };
            if tasks.unless_stopped(changed).await.is_none() {
                break;
            }
        }
        self.leaves(view.borrow().revision());
        // Only our own report: a successor on the same data folder may have written its own already.
        if let Err(reason) = goodbye(&self.link, &self.names, &self.node, stored).await {
            tracing::warn!(
                reason,
                "left without a goodbye: the others will call this node lost"
            );
        }
    }

    fn joins(&self, revision: u64) {
        let kind = AlertKind::NodeJoined {
            node: self.node.clone(),
            boot: self.boot.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            reader_level: READER_LEVEL,
            revision,
        };
        self.alerts
            .raise_once(format!("node.joined-{}-{}", self.node, self.boot), kind);
    }

    fn leaves(&self, revision: u64) {
        let kind = AlertKind::NodeLeft {
            node: self.node.clone(),
            boot: self.boot.clone(),
            revision,
        };
        self.alerts
            .raise_once(format!("node.left-{}-{}", self.node, self.boot), kind);
    }

    /// Stores a report; its revision in the bucket if that is known.
    async fn report(&self, view: &View, requests_per_second: u64) -> Option<u64> {
        if !self.link.is_up() {
            return None;
        }
        let heartbeat = Heartbeat {
            node: self.node.clone(),
            boot: self.boot.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            reader_level: READER_LEVEL,
            position: position(&view.fold),
            status: match &view.status {
                Status::Frozen { reason } => NodeStatus::Frozen {
                    reason: reason.clone(),
                },
                Status::Following | Status::Disconnected { .. } => NodeStatus::Serving,
            },
            started_at: self.started_at,
            at: Utc::now().into(),
            proxy: Some(self.proxy.clone()),
            requests_per_second,
        };
        let reporting = async {
            let bucket = self
                .link
                .jetstream()
                .get_key_value(self.names.nodes())
                .await
                .map_err(|e| e.to_string())?;
            let value = serde_json::to_vec(&heartbeat).map_err(|error| error.to_string())?;
            bucket
                .put(self.node.as_str(), value.into())
                .await
                .map_err(|error| error.to_string())
        };
        match tokio::time::timeout(REPORT_TIMEOUT, reporting).await {
            Ok(Ok(revision)) => return Some(revision),
            Ok(Err(reason)) => tracing::debug!(reason, "heartbeat not stored"),
            Err(_) => tracing::debug!("heartbeat not stored in time"),
        }
        None
    }
}

/// Says that a node now serves a revision, to whoever waits for that. Lost if there is no connection: the heartbeat
/// says it again. Never waits.
pub fn announce(link: &Link, names: &Names, node: &NodeId, fold: &Fold) {
    if !link.is_up() {
        return;
    }
    let serving = Serving {
        node: node.clone(),
        generation: fold.generation,
        revision: fold.revision,
    };
    let Ok(payload) = serde_json::to_vec(&serving) else {
        return;
    };
    let publishing = link
        .client()
        .publish(names.serving_subject(node.as_str()), payload.into());
    // A full queue of the client would make this wait; then the heartbeat has to do.
    let _sent = futures_util::FutureExt::now_or_never(publishing);
}

/// Takes a node out of the bucket; with a revision, only if that is still its last report.
pub(super) async fn goodbye(
    link: &Link,
    names: &Names,
    node: &NodeId,
    last_report: Option<u64>,
) -> Result<(), String> {
    if !link.is_up() {
        return Err("NATS is not connected".to_owned());
    }
    let leaving = async {
        let bucket = link
            .jetstream()
            .get_key_value(names.nodes())
            .await
            .map_err(|error| error.to_string())?;
        bucket
            .delete_expect_revision(node.as_str(), last_report)
            .await
            .map_err(|error| error.to_string())
    };
    tokio::time::timeout(REPORT_TIMEOUT, leaving)
        .await
        .map_err(|_| "no answer in time".to_owned())?
}

fn position(fold: &Fold) -> Position {
    Position {
        generation: fold.generation,
        revision: fold.revision,
        chain: fold.chain,
        state_hash: fold.state.hash().to_string(),
    }
}

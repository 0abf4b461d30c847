//! Hearing what the nodes say.

use std::time::Duration;

use async_nats::jetstream::kv::{Entry, Operation, Watch};
use flexgate_schemas::{
    NodeId,
    alert::AlertKind,
    node::{Heartbeat, Serving},
};
use futures_util::StreamExt as _;
use tokio::time::MissedTickBehavior;

use super::{LOOK_EVERY, Member, Members};
use crate::{drain::Tasks, journal::alerts::Alerts};

/// The pause before the bucket is watched again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Keeps the members up to date until the tasks are stopped, and raises an alert for each that is lost.
pub async fn listen(members: Members, alerts: Alerts, tasks: Tasks) {
    let listening = async {
        let mut reported = Vec::new();
        loop {
            members.link.connected().await;
            if let Err(reason) = hear(&members, &alerts, &mut reported).await {
                tracing::debug!(reason, "not hearing the nodes");
            }
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    };
    // Boxed: the client's futures are large, and this one lives as long as the process.
    tasks.unless_stopped(Box::pin(listening)).await;
}

/// Hears until the connection is lost or the bucket cannot be watched.
async fn hear(members: &Members, alerts: &Alerts, reported: &mut Vec<String>) -> Result<(), String> {
    let bucket = members
        .link
        .jetstream()
        .get_key_value(members.names.nodes())
        .await
        .map_err(|e| e.to_string())?;
    let mut announcements = members
        .link
        .client()
        .subscribe(members.names.serving_subject("*"))
        .await
        .map_err(|e| e.to_string())?;
    let mut reports: Watch = bucket
        .watch_with_history(">")
        .await
        .map_err(|error| error.to_string())?;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = members.link.disconnected() => return Err("the connection was lost".to_owned()),
            message = announcements.next() => {
                let message = message.ok_or("the subscription ended")?;
                match serde_json::from_slice::<Serving>(&message.payload) {
                    Ok(serving) => members.serves(&serving.node, (serving.generation, serving.revision)),
                    Err(error) => tracing::debug!(%error, "an announcement that is none"),
                }
            }
            entry = reports.next() => {
                take(members, &entry.ok_or("the watch ended")?.map_err(|error| error.to_string())?);
            }
            _ = looks.tick() => report_lost(members.look(), alerts, reported),
        }
    }
}

fn take(members: &Members, entry: &Entry) {
    match entry.operation {
        Operation::Put => match serde_json::from_slice::<Heartbeat>(&entry.value) {
            Ok(heartbeat) => members.heard(heartbeat),
            Err(error) => tracing::debug!(%error, key = entry.key, "a heartbeat that is none"),
        },
        Operation::Delete | Operation::Purge => {
            if let Ok(node) = entry.key.parse::<NodeId>() {
                members.gone(&node);
            }
        }
    }
}

/// Raises `node.lost` once for each silence.
fn report_lost(lost: Vec<Member>, alerts: &Alerts, reported: &mut Vec<String>) {
    // The same id from every process that watches, so that the stream keeps one of them.
    let occurrence = |Member { heartbeat, .. }: &Member| {
        format!(
            "node.lost-{}-{}-{}",
            heartbeat.node,
            heartbeat.boot,
            heartbeat.at.as_millis()
        )
    };
    reported.retain(|id| lost.iter().any(|member| occurrence(member) == *id));
    for member in lost {
        let id = occurrence(&member);
        if !reported.contains(&id) {
            reported.push(id.clone());
            let (node, silent_ms) = (member.heartbeat.node, member.silent_ms);
            alerts.raise_once(id, AlertKind::NodeLost { node, silent_ms });
        }
    }
}

//! Hearing what the nodes say.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use async_nats::jetstream::kv::{self, Operation, Watch};
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

/// Who was reported lost, by the occurrence.
type Reported = BTreeMap<String, Member>;

/// Keeps the members up to date until the tasks are stopped, and raises an alert for each that is lost.
pub async fn listen(members: Members, alerts: Alerts, tasks: Tasks) {
    let listening = async {
        let mut reported = BTreeMap::new();
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
async fn hear(members: &Members, alerts: &Alerts, reported: &mut Reported) -> Result<(), String> {
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
            _ = looks.tick() => report_lost(members.look(), members, alerts, reported),
        }
    }
}

fn take(members: &Members, entry: &kv::Entry) {
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

/// Raises `node.lost` once for each silence, and what became of it.
fn report_lost(lost: Vec<Member>, members: &Members, alerts: &Alerts, reported: &mut Reported) {
    let lost: Reported = lost
        .into_iter()
        .map(|member| (occurrence(&member), member))
        .collect();
    let over: Vec<_> = reported.extract_if(.., |id, _| !lost.contains_key(id)).collect();
    // The same ids from every process that watches, so that the stream keeps one of each.
    for (id, Member { heartbeat, .. }) in over {
        let (node, boot) = (heartbeat.node, heartbeat.boot);
        let mut now = members.list().into_iter().map(|member| member.heartbeat);
        let kind = match now.find(|now| now.node == node) {
            None => AlertKind::NodeForgotten { node },
            Some(now) if now.boot == boot => AlertKind::NodeBack { node, boot },
            Some(_) => continue, // it was started again, and says so itself
        };
        alerts.raise_once(
            id.replacen("lost", kind.type_name().trim_start_matches("node."), 1),
            kind,
        );
    }
    for (id, member) in lost {
        if let Entry::Vacant(news) = reported.entry(id) {
            let (node, silent_ms) = (member.heartbeat.node.clone(), member.silent_ms);
            alerts.raise_once(news.key().clone(), AlertKind::NodeLost { node, silent_ms });
            news.insert(member);
        }
    }
}

/// One silence of a node.
fn occurrence(Member { heartbeat, .. }: &Member) -> String {
    let at = heartbeat.at.as_millis();
    format!("node.lost-{}-{}-{at}", heartbeat.node, heartbeat.boot)
}

#[cfg(test)]
mod tests {
    use flexgate_schemas::{Chain, READER_LEVEL, Timestamp, node};

    use super::*;
    use crate::{
        journal::jetstream::{Link, Names},
        membership::LOOKS_UNTIL_LOST,
    };

    fn heartbeat(boot: &str, at_millis: i64) -> Heartbeat {
        let at = Timestamp::from_millis(at_millis).unwrap();
        Heartbeat {
            node: "b".parse().unwrap(),
            boot: boot.parse().unwrap(),
            version: "1.0".to_owned(),
            reader_level: READER_LEVEL,
            position: node::Position {
                generation: 1,
                revision: 1,
                chain: Chain::ZERO,
                state_hash: "1:0".to_owned(),
            },
            status: node::NodeStatus::Serving,
            started_at: at,
            at,
            proxy: None,
            requests_per_second: 0,
        }
    }

    #[tokio::test]
    async fn a_silence_is_told_of_once_and_so_is_how_it_ends() {
        let link = Link::open("nats://127.0.0.1:9", "test").await.unwrap();
        let members = Members::new(link, Names::new("T").unwrap());
        let (alerts, mut raised) = Alerts::channel("a".parse().unwrap());
        let mut reported = Reported::new();
        let mut look = |times: u32| {
            for _ in 0..times {
                report_lost(members.look(), &members, &alerts, &mut reported);
            }
            std::iter::from_fn(|| raised.try_recv().ok())
                .map(|alert| (alert.id, alert.kind.type_name()))
                .collect::<Vec<_>>()
        };
        let told = |id: &str, type_name| vec![(id.to_owned(), type_name)];
        members.heard(heartbeat("1", 1000));
        assert_eq!(look(LOOKS_UNTIL_LOST), []);
        assert_eq!(look(5), told("node.lost-b-1-1000", "node.lost"));
        members.heard(heartbeat("1", 2000));
        assert_eq!(look(2), told("node.back-b-1-1000", "node.back"));
        assert_eq!(look(20), told("node.lost-b-1-2000", "node.lost"));
        members.heard(heartbeat("2", 3000));
        assert_eq!(look(1), [], "one that was started again says so itself");
        assert_eq!(look(20), told("node.lost-b-2-3000", "node.lost"));
        members.gone(&"b".parse().unwrap());
        assert_eq!(look(2), told("node.forgotten-b-2-3000", "node.forgotten"));
    }
}

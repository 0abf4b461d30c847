//! Alerts in the tables: each once, whatever it says.

use chrono::{DateTime, TimeDelta, Utc};
use flexgate_projections::{AlertRows, Error, MessageProjector, connect};
use flexgate_schemas::frame::{Delivered, Sealed};
use futures_util::stream;
use serde_json::{Value, json};

use super::query;
use crate::{fixtures::Postgres, outcomes::database::created};

const ROWS: &str = "SELECT concat_ws(' ', id, type, severity, node, subject, data->>'reason') FROM flexgate.alerts ORDER BY at";

/// Alerts as they lie on the stream from a sequence on: type, node and data, each a second after the one before.
pub fn on_stream(first: u64, alerts: &[(&str, &str, Value)]) -> Vec<Delivered> {
    on_stream_since(created(), first, alerts)
}

/// The same, counted from another time.
pub fn on_stream_since(time: DateTime<Utc>, first: u64, alerts: &[(&str, &str, Value)]) -> Vec<Delivered> {
    let each = (first..).zip(alerts).map(|(sequence, (type_name, node, data))| {
        let at = time + TimeDelta::seconds(sequence.cast_signed());
        let alert = json!({
            "id": format!("{type_name}-{sequence}"),
            "node": node,
            "timestamp": flexgate_schemas::Timestamp::from(at),
            "type": type_name,
            "data": data,
        });
        message(sequence, alert.to_string().into_bytes())
    });
    each.collect()
}

/// A message of a stream.
pub fn message(sequence: u64, payload: Vec<u8>) -> Delivered {
    Delivered {
        sequence,
        stored_at: created().into(),
        message: Sealed {
            headers: Vec::new(),
            payload,
        },
    }
}

/// A projector takes over and applies these, of a stream that was made so many seconds after the others'.
pub async fn project(url: &str, later: i64, messages: Vec<Delivered>) -> Result<(), Error> {
    let mut projector = MessageProjector::<AlertRows>::take_over(connect(url).await.unwrap()).await?;
    let stream_created = created() + TimeDelta::seconds(later);
    projector
        .run(stream_created, stream::iter(messages), |_| {})
        .await
}

#[tokio::test]
async fn an_alert_is_a_row_also_if_it_is_of_a_later_version() {
    let url = Postgres::database().await;
    let alerts = [
        (
            "journal.frozen",
            "a",
            json!({ "revision": 7, "reason": "un\0readable" }),
        ),
        ("node.lost", "a", json!({ "node": "b", "silentMs": 9000 })),
        ("moon.full", "a", json!({ "reason": "it is time" })),
    ];
    project(&url, 0, on_stream(1, &alerts)).await.unwrap();
    assert_eq!(
        query(&url, ROWS).await,
        [
            "ALERTS-1 journal.frozen critical a a un\u{fffd}readable",
            "ALERTS-2 node.lost warning a b",
            "ALERTS-3 moon.full a a it is time",
        ]
    );
}

#[tokio::test]
async fn alerts_that_come_again_are_no_others_and_those_of_a_new_stream_are() {
    let url = Postgres::database().await;
    let lost = ("node.lost", "a", json!({ "node": "b", "silentMs": 9000 }));
    let first = on_stream(1, std::slice::from_ref(&lost));
    project(&url, 0, first.clone()).await.unwrap();
    project(&url, 0, first.clone()).await.unwrap();
    project(&url, 60, first).await.unwrap(); // restored from a backup
    assert_eq!(query(&url, ROWS).await, ["ALERTS-1 node.lost warning a b"]);
    project(&url, 60, on_stream(2, &[lost])).await.unwrap();
    assert_eq!(query(&url, ROWS).await.len(), 2);
}

#[tokio::test]
async fn what_is_no_alert_stops_the_projection_behind_those_before_it() {
    let url = Postgres::database().await;
    let mut messages = on_stream(
        1,
        &[("config.rejected", "a", json!({ "file": "f", "reason": "tabs" }))],
    );
    messages.push(message(2, b"hello".to_vec()));
    let stopped = project(&url, 0, messages).await.unwrap_err();
    assert!(
        matches!(stopped, Error::Unreadable { sequence: 2, .. }),
        "{stopped}"
    );
    assert_eq!(
        query(&url, ROWS).await,
        ["ALERTS-1 config.rejected warning a f tabs"]
    );
}

#[tokio::test]
async fn the_history_of_a_node_tells_a_restart_from_a_start() {
    let url = Postgres::database().await;
    let joined =
        |boot: &str| json!({ "node": "b", "boot": boot, "version": "1.0", "readerLevel": 5, "revision": 3 });
    let alerts = [
        ("node.joined", "b", joined("1")),
        (
            "journal.frozen",
            "b",
            json!({ "revision": 4, "reason": "too new" }),
        ),
        ("journal.thawed", "b", json!({ "revision": 5 })),
        ("node.joined", "b", joined("2")),
        ("node.lost", "a", json!({ "node": "b", "silentMs": 9000 })),
        ("node.back", "a", json!({ "node": "b", "boot": "2" })),
        (
            "node.left",
            "b",
            json!({ "node": "b", "boot": "2", "revision": 6 }),
        ),
        ("node.joined", "b", joined("3")),
    ];
    project(&url, 0, on_stream(1, &alerts)).await.unwrap();
    let life =
        "SELECT concat_ws(' ', event, boot, revision, reason, after) FROM flexgate.node_history ORDER BY at";
    assert_eq!(
        query(&url, life).await,
        [
            "joined 1 3",
            "frozen 4 too new 00:00:01",
            "thawed 5 00:00:01",
            "restarted 2 3 00:00:01",
            "lost 00:00:01",
            "back 2 00:00:01",
            "left 2 6 00:00:01",
            "joined 3 3 00:00:01",
        ]
    );
}

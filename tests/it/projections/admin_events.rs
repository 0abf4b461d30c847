//! What was asked and not done, in the tables: each once, under the sequence that it has.

use chrono::TimeDelta;
use flexgate_projections::{AdminEvents, Error, MessageProjector, connect};
use flexgate_schemas::{
    AdminEvent, Timestamp,
    admin::{Call, Deed},
    commit::{Actor, ActorKind, Source},
    frame::Delivered,
};
use futures_util::stream;

use super::{alerts::message, query};
use crate::{fixtures::Postgres, outcomes::database::created};

const ROWS: &str = "SELECT concat_ws(' ', id, level, actor, message, status, code, times)
    FROM flexgate.audit_log WHERE stream = 'ADMIN' ORDER BY history, sequence";

/// Events as they lie on the stream from a sequence on, each with its own id.
pub fn on_stream(first: u64, events: &[(Option<&str>, Timestamp, Deed)]) -> Vec<Delivered> {
    let each = (first..).zip(events).map(|(sequence, (actor, at, deed))| {
        let actor = actor.map(|id| Actor {
            kind: ActorKind::Token,
            id: id.into(),
        });
        let event = AdminEvent {
            id: format!("{}-{at}", deed.verb()).into(),
            node: "admin-1".parse().unwrap(),
            at: *at,
            actor,
            source: Source::Api,
            provenance: serde_json::from_str(r#"{"address":"203.0.113.7"}"#).unwrap(),
            deed: deed.clone(),
        };
        message(sequence, serde_json::to_vec(&event).unwrap())
    });
    each.collect()
}

/// A projector takes over and applies these, of a stream that was made so many seconds after the others'.
pub async fn project(url: &str, later: i64, messages: Vec<Delivered>) -> Result<(), Error> {
    let mut projector = MessageProjector::<AdminEvents>::take_over(connect(url).await.unwrap()).await?;
    let stream_created = created() + TimeDelta::seconds(later);
    projector
        .run(stream_created, stream::iter(messages), |_| {})
        .await
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_900_000_000_000 + 1000 * second).unwrap()
}

fn events() -> [(Option<&'static str>, Timestamp, Deed); 3] {
    let call = |status, code| Call::new(("DELETE", "/api/nodes/b"), status, code);
    let many = Call {
        times: 40,
        ..call(401, Some("no_token"))
    };
    [
        (Some("alice"), at(1), Deed::Refused(call(409, Some("node_alive")))),
        (None, at(2), Deed::Denied(many)),
        (Some("alice"), at(3), Deed::Done(call(204, None))),
    ]
}

#[tokio::test]
async fn each_event_is_a_row_of_the_audit_log() {
    let url = Postgres::database().await;
    project(&url, 0, on_stream(1, &events())).await.unwrap();
    let expected = [
        "ADMIN-1 info alice DELETE /api/nodes/b refused: node_alive 409 node_alive 1",
        "ADMIN-2 warn DELETE /api/nodes/b denied: no_token, 40 times 401 no_token 40",
        "ADMIN-3 info alice DELETE /api/nodes/b done 204 1",
    ];
    assert_eq!(query(&url, ROWS).await, expected);
    project(&url, 0, on_stream(1, &events())).await.unwrap();
    assert_eq!(query(&url, ROWS).await, expected, "read again");
}

#[tokio::test]
async fn a_stream_that_was_restored_tells_nothing_twice_and_what_it_has_lost_stays() {
    let url = Postgres::database().await;
    let all = events();
    project(&url, 0, on_stream(1, &all)).await.unwrap();
    let before = query(&url, ROWS).await;
    // Under other sequences, without the first, and with one more.
    let more = (Some("bob"), at(4), all[0].2.clone());
    let restored = [all[1].clone(), all[2].clone(), more];
    project(&url, 60, on_stream(1, &restored)).await.unwrap();
    let after = query(&url, ROWS).await;
    assert_eq!((&after[..3], after.len()), (&before[..], 4));
    assert!(after[3].starts_with("ADMIN-3 info bob"), "{after:?}");
}

#[tokio::test]
async fn what_cannot_be_read_stops_it_after_what_came_before() {
    let url = Postgres::database().await;
    let mut messages = on_stream(1, &events());
    messages[1] = message(2, br#"{"type":"io.flexgate.admin.teleported.v1"}"#.to_vec());
    let error = project(&url, 0, messages).await.unwrap_err();
    assert!(
        error.stops() && matches!(error, Error::Unreadable { sequence: 2, .. }),
        "{error}"
    );
    assert_eq!(query(&url, ROWS).await.len(), 1);
}

//! What was counted in an hour outlives the frames that it was counted from.

use chrono::{DateTime, TimeDelta, Utc};
use flexgate::outcomes::closed_hours::ClosedHours;
use flexgate_projections::{Closing, connect};
use flexgate_schemas::{Outcome, frame::Sealed, rollup::ClosedHour};
use futures_util::stream;

use super::{
    database::{Database, created},
    frames::{Core, delivered, now, plain},
};
use crate::fixtures::{self, Nats};

pub(super) const COUNTS: &str = "
    SELECT to_jsonb(r)::text FROM flexgate.rollup_hourly r UNION ALL SELECT to_jsonb(r)::text FROM flexgate.rollup_daily r
    UNION ALL SELECT to_jsonb(r)::text FROM flexgate.rollup_weekly r
    UNION ALL SELECT to_jsonb(r)::text FROM flexgate.status_hourly r
    UNION ALL SELECT to_jsonb(r)::text FROM flexgate.usage_hourly r ORDER BY 1";
pub(super) const ROWS: &str = "SELECT to_jsonb(r)::text FROM flexgate.requests r ORDER BY 1";

#[tokio::test]
async fn an_hour_is_published_when_it_is_over_and_again_when_it_has_changed() {
    let (database, stream) = (Database::new().await, stream_of_ones_own().await);
    let mut closing = Closing::new(connect(&database.url).await.unwrap());
    let mut core = Core::of_boot("b1");
    let mut hours_ago = |hours: i64, count: usize| {
        let outcome = Outcome {
            at: now() - hours * 3_600_000_000,
            ..plain()
        };
        let outcomes = core.numbered(&vec![outcome; count]);
        core.seal(&outcomes)
    };
    database
        .apply(vec![hours_ago(5, 3), hours_ago(3, 4), hours_ago(0, 5)])
        .await;
    assert_eq!(
        publish_all(&mut closing, &stream, Utc::now()).await,
        2,
        "the running hour is not over"
    );
    assert_eq!(
        publish_all(&mut closing, &stream, Utc::now()).await,
        0,
        "nothing has changed"
    );
    assert_eq!(totals(&stream).await, [(1, 3), (1, 4)]);

    database.apply(vec![hours_ago(5, 10)]).await;
    assert_eq!(publish_all(&mut closing, &stream, Utc::now()).await, 1);
    assert_eq!(
        totals(&stream).await,
        [(2, 13), (1, 4)],
        "a later version replaces"
    );
}

#[tokio::test]
async fn no_hour_is_closed_before_everything_up_to_its_end_was_read() {
    let (database, stream) = (Database::new().await, stream_of_ones_own().await);
    let mut closing = Closing::new(connect(&database.url).await.unwrap());
    let mut core = Core::of_boot("b1");
    let outcomes = core.numbered(&[Outcome {
        at: now() - 5 * 3_600_000_000,
        ..plain()
    }]);
    database.apply(vec![core.seal(&outcomes)]).await;
    let read_up_to = Utc::now() - TimeDelta::hours(5);
    assert_eq!(publish_all(&mut closing, &stream, read_up_to).await, 0);
    assert_eq!(publish_all(&mut closing, &stream, Utc::now()).await, 1);
}

#[tokio::test]
async fn an_hour_that_was_claimed_and_not_published_is_published_by_the_next() {
    let (database, stream) = (Database::new().await, stream_of_ones_own().await);
    let mut core = Core::of_boot("b1");
    let outcomes = core.numbered(&[Outcome {
        at: now() - 5 * 3_600_000_000,
        ..plain()
    }]);
    database.apply(vec![core.seal(&outcomes)]).await;
    let mut killed = Closing::new(connect(&database.url).await.unwrap());
    assert!(killed.next(Utc::now()).await.unwrap().is_some());
    drop(killed);
    let mut closing = Closing::new(connect(&database.url).await.unwrap());
    assert_eq!(publish_all(&mut closing, &stream, Utc::now()).await, 1);
}

#[tokio::test]
async fn counts_are_rebuilt_from_closed_hours_whatever_frames_are_left() {
    let (database, stream) = (Database::new().await, stream_of_ones_own().await);
    let frames = frames_of_a_day();
    database.apply(frames.clone()).await;
    let mut closing = Closing::new(connect(&database.url).await.unwrap());
    publish_all(&mut closing, &stream, Utc::now()).await;
    let (counts, rows) = (database.rows(COUNTS).await, database.rows(ROWS).await);

    for gone in [0, 5, 17] {
        let rebuilt = Database::new().await;
        let mut projector = rebuilt.projector().await;
        assert!(projector.is_new());
        projector
            .restore(created(), stream.newest().await.unwrap())
            .await
            .unwrap();
        assert!(!projector.is_new());
        let left = delivered(frames.clone()).into_iter().skip(gone);
        projector
            .run(created(), stream::iter(left), |_| {})
            .await
            .unwrap();
        assert_eq!(rebuilt.rows(COUNTS).await, counts, "{gone} frames were gone");
        let rows_left = rebuilt.rows(ROWS).await;
        assert_eq!(rows_left.len(), rows.len() - 10 * gone);
    }
}

#[tokio::test]
async fn a_stream_that_was_made_anew_counts_beside_what_was_restored() {
    let (database, stream) = (Database::new().await, stream_of_ones_own().await);
    let frames = frames_of_a_day();
    database.apply(frames.clone()).await;
    let mut closing = Closing::new(connect(&database.url).await.unwrap());
    publish_all(&mut closing, &stream, Utc::now()).await;
    let requests = "SELECT sum(requests)::text FROM flexgate.rollup_hourly";
    assert_eq!(database.rows(requests).await, ["200"]);

    let rebuilt = Database::new().await;
    let mut projector = rebuilt.projector().await;
    projector
        .restore(created(), stream.newest().await.unwrap())
        .await
        .unwrap();
    let mut other = Core::of_boot("b2");
    let outcomes = other.numbered(&[Outcome {
        at: now() - 5 * 3_600_000_000,
        ..plain()
    }]);
    let later = created() + TimeDelta::days(1);
    let messages = delivered(vec![other.seal(&outcomes)]);
    projector
        .run(later, stream::iter(messages), |_| {})
        .await
        .unwrap();
    let restored: u64 = rebuilt.rows(requests).await[0].parse().unwrap();
    assert_eq!(restored, 201);
}

/// Twenty frames of ten outcomes, one and a quarter hours apart, the last some hours ago.
fn frames_of_a_day() -> Vec<Sealed> {
    let mut core = Core::of_boot("b1");
    let mut frame = |number: i64| {
        let outcome = |place: i64| Outcome {
            at: now() - (30 * 60 - number * 75 + place) * 60_000_000,
            micros: 100 + number.unsigned_abs() * 37 + place.unsigned_abs(),
            key: (place % 3 == 0).then_some("key-1"),
            status: Some(if place == 7 { 503 } else { 200 }),
            ..plain()
        };
        let outcomes = core.numbered(&(0..10).map(outcome).collect::<Vec<_>>());
        core.seal(&outcomes)
    };
    (0..20).map(&mut frame).collect()
}

pub(super) async fn stream_of_ones_own() -> ClosedHours {
    let names = fixtures::names();
    let link = fixtures::provisioned(Nats::shared_url().await, &names).await;
    ClosedHours::new(link, names)
}

/// Returns how many hours were due.
pub(super) async fn publish_all(
    closing: &mut Closing,
    stream: &ClosedHours,
    read_up_to: DateTime<Utc>,
) -> usize {
    let mut published = 0;
    while let Some(due) = closing.next(read_up_to).await.unwrap() {
        stream.publish(&due).await.unwrap();
        closing.published(&due).await.unwrap();
        published += 1;
    }
    published
}

/// Version and requests of each hour on the stream, oldest first.
async fn totals(stream: &ClosedHours) -> Vec<(u32, u64)> {
    let total = |parts: &Vec<ClosedHour>| {
        let routes = parts.iter().flat_map(|part| &part.routes);
        (parts[0].version, routes.map(|route| route.requests).sum())
    };
    stream.newest().await.unwrap().iter().map(total).collect()
}

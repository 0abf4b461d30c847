//! What became of requests is made anew from what streams are left, and what they no longer have is not lost.

mod kept;

use chrono::Utc;
use flexgate_projections::{
    Begun, Building, Closing, Comparison, Error, Live, Pace, Phase, Progress, Projection, Rebuild, Refill,
    Whose, connect,
};
use flexgate_schemas::{Outcome, frame::Sealed};
use futures_util::stream;
use tokio::sync::watch;

use super::{
    closed_hours::{COUNTS, ROWS, publish_all, stream_of_ones_own},
    database::{Database, created},
    frames::{Core, delivered, now, plain},
};

pub(super) use self::kept::Kept;

/// Since when, and in which tables, something was carried over.
const CARRIED: &str =
    "SELECT DISTINCT relation FROM flexgate.carried_over WHERE ends_at > begins_at ORDER BY 1";
const SCHEMAS: &str = "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'flexgate%' ORDER BY 1";

impl Database {
    pub(super) async fn rebuild(
        &self,
        mut kept: impl Refill,
        verify: bool,
    ) -> Result<Option<Comparison>, Error> {
        let (progress, _) = watch::channel(Progress {
            phase: Phase::Reading,
            done: 0,
            total: 0,
        });
        self.begin().await.run(&mut kept, verify, &progress).await
    }

    async fn begin(&self) -> Rebuild {
        match Rebuild::begin(&self.url, outcomes(), Pace::FULL).await.unwrap() {
            Begun::Here(rebuild) => rebuild,
            Begun::Elsewhere => panic!("nobody else is at it"),
        }
    }

    pub(super) async fn verified(&self, kept: Kept) -> Comparison {
        self.rebuild(kept, true).await.unwrap().unwrap()
    }

    pub(super) async fn contents(&self) -> (Vec<String>, Vec<String>) {
        (self.rows(COUNTS).await, self.rows(ROWS).await)
    }
}

#[tokio::test]
async fn from_a_whole_stream_the_tables_are_the_same() {
    let database = Database::new().await;
    let frames = frames_of_some_hours();
    database.apply(frames.clone()).await;
    let before = database.contents().await;
    let compared = database.verified(Kept::of(&frames, 0)).await;
    assert!(compared.is_same(), "{compared:?}");
    assert_eq!(database.rebuild(Kept::of(&frames, 0), false).await.unwrap(), None);
    assert_eq!(database.contents().await, before);
    let again = database.verified(Kept::of(&frames, 0)).await;
    assert_eq!(again, compared, "hashes are about contents");
    assert_eq!(database.rows(CARRIED).await, [] as [String; 0]);
    assert_eq!(database.rows(SCHEMAS).await, ["flexgate"]);
}

#[tokio::test]
async fn an_emptied_database_gets_the_same_contents() {
    let database = Database::new().await;
    let frames = frames_of_some_hours();
    database.apply(frames.clone()).await;
    let before = database.verified(Kept::of(&frames, 0)).await;
    let emptied = Database::new().await;
    emptied.rebuild(Kept::of(&frames, 0), false).await.unwrap();
    assert_eq!(emptied.verified(Kept::of(&frames, 0)).await, before);
    assert_eq!(emptied.contents().await, database.contents().await);
}

#[tokio::test]
async fn what_the_stream_has_let_go_of_is_carried_over_and_marked() {
    for gone in [1, 5, 11, 19, 20] {
        let database = Database::new().await;
        let frames = frames_of_some_hours();
        database.apply(frames.clone()).await;
        let before = database.contents().await;
        let sources = "SELECT to_jsonb(s)::text FROM flexgate.outcome_sources s";
        let taken = database.rows(sources).await;
        for _ in 0..2 {
            database.rebuild(Kept::of(&frames, gone), false).await.unwrap();
            assert_eq!(database.contents().await, before, "{gone} frames were gone");
            assert_eq!(database.rows(CARRIED).await, ["requests", "rollup_hourly"]);
            assert_eq!(database.rows(sources).await, taken);
        }
        let repeated = database.apply(frames[..1].to_vec()).await;
        assert_eq!(repeated.outcomes, 0, "what was carried over counts once");
    }
}

#[tokio::test]
async fn frames_that_come_while_rows_are_carried_over_cost_no_row_and_none_is_there_twice() {
    let (database, whole) = (Database::new().await, Database::new().await);
    let mut late = Core::of_boot("b2");
    let mut days_ago = |days: i64, micros: u64| {
        let at = now() - days * 86_400_000_000 - 3_600_000_000;
        let outcomes = late.numbered(&[Outcome {
            at,
            micros,
            ..plain()
        }]);
        late.seal(&outcomes)
    };
    // Of the oldest day the stream has nothing any more, of the other one, half.
    let before = [days_ago(3, 1), days_ago(0, 2), days_ago(0, 3)];
    let meanwhile = [days_ago(3, 4), days_ago(0, 5)];
    let frames = [&before[..], &meanwhile].concat();
    database.apply(before.to_vec()).await;
    whole.apply(frames.clone()).await;
    let mut kept = Meanwhile {
        kept: Kept::of(&frames, 2),
        fills: 0,
        database: &database,
    };
    let progress = watch::Sender::new(Progress {
        phase: Phase::Reading,
        done: 0,
        total: 0,
    });
    let rebuild = database.begin().await;
    rebuild.run(&mut kept, false, &progress).await.unwrap();
    assert_eq!(database.contents().await, whole.contents().await);
    let compared = database.verified(Kept::of(&frames, 2)).await;
    assert!(compared.is_same(), "{compared:?}");
}

#[tokio::test]
async fn closed_hours_are_counted_from_their_own_stream() {
    for gone in [0, 5, 11] {
        let (database, stream) = (Database::new().await, stream_of_ones_own().await);
        let frames = frames_of_some_hours();
        database.apply(frames.clone()).await;
        let mut closing = Closing::new(connect(&database.url).await.unwrap());
        publish_all(&mut closing, &stream, Utc::now()).await;
        let before = database.contents().await;
        let kept = Kept::of(&frames, gone).with_hours(&stream).await;
        database.rebuild(kept, false).await.unwrap();
        assert_eq!(database.contents().await, before, "{gone} frames were gone");
        let carried = "SELECT count(*)::text FROM flexgate.carried_over WHERE relation <> 'requests'";
        assert_eq!(database.rows(carried).await, ["0"]);
        assert_eq!(
            publish_all(&mut closing, &stream, Utc::now()).await,
            0,
            "nothing has changed"
        );
    }
}

#[tokio::test]
async fn frames_that_come_after_closed_hours_were_published_are_counted_once() {
    let (database, stream) = (Database::new().await, stream_of_ones_own().await);
    let frames = frames_of_some_hours();
    database.apply(frames[..15].to_vec()).await;
    let mut closing = Closing::new(connect(&database.url).await.unwrap());
    publish_all(&mut closing, &stream, Utc::now()).await;
    database.apply(frames.clone()).await;
    let before = database.contents().await;
    for gone in [0, 3, 17] {
        let kept = Kept::of(&frames, gone).with_hours(&stream).await;
        database.rebuild(kept, false).await.unwrap();
        assert_eq!(database.contents().await, before, "{gone} frames were gone");
    }
}

#[tokio::test]
async fn what_is_wrong_is_found_and_made_right() {
    let database = Database::new().await;
    let frames = frames_of_some_hours();
    database.apply(frames.clone()).await;
    let before = database.contents().await;
    let spoil = "UPDATE flexgate.rollup_hourly SET requests = 2 * requests WHERE hour = (SELECT min(hour) FROM flexgate.rollup_hourly) RETURNING 'x'";
    database.rows(spoil).await;
    database
        .rows("DELETE FROM flexgate.requests WHERE path = '/users/1' AND duration_us = 137 RETURNING 'x'")
        .await;
    let compared = database.verified(Kept::of(&frames, 0)).await;
    let differing: Vec<_> = compared.tables.iter().filter(|table| !table.is_same()).collect();
    let names: Vec<_> = differing.iter().map(|table| &*table.table).collect();
    assert_eq!(names, ["requests", "rollup_hourly"]);
    assert_eq!(differing[0].differences[0].only_in, Whose::Rebuilt);
    assert_eq!(differing[1].differences[0].only_in, Whose::Both);
    assert!(
        differing[1].differences[0].key.ends_with(" users"),
        "{differing:?}"
    );
    assert_ne!(database.contents().await, before, "to verify changes nothing");
    database.rebuild(Kept::of(&frames, 0), false).await.unwrap();
    assert_eq!(database.contents().await, before);
}

#[tokio::test]
async fn whoever_projected_meanwhile_begins_again_where_the_new_tables_are() {
    let database = Database::new().await;
    let frames = frames_of_some_hours();
    database.apply(frames[..10].to_vec()).await;
    let mut projecting = database.projector().await;
    database.rebuild(Kept::of(&frames[..10], 0), false).await.unwrap();
    let next = delivered(frames.clone()).into_iter().skip(10);
    let outcome = projecting
        .run(created(), stream::iter(next.clone()), |_| {})
        .await;
    assert!(matches!(outcome, Err(Error::Fenced)), "{outcome:?}");
    let mut projector = database.projector().await;
    assert_eq!(projector.position().sequence, 10);
    projector
        .run(created(), stream::iter(next), |_| {})
        .await
        .unwrap();
    let compared = database.verified(Kept::of(&frames, 0)).await;
    assert!(compared.is_same(), "{compared:?}");
}

#[tokio::test]
async fn two_do_not_do_it_at_once_and_what_a_killed_one_left_is_dropped() {
    let database = Database::new().await;
    let frames = frames_of_some_hours();
    database.apply(frames.clone()).await;
    let before = database.contents().await;
    let first = database.begin().await;
    let second = Rebuild::begin(&database.url, outcomes(), Pace::FULL)
        .await
        .unwrap();
    assert!(matches!(second, Begun::Elsewhere));
    drop(first);
    let torn = async {
        let mut endless = Endless(Kept::of(&frames, 0));
        let (progress, mut shown) = watch::channel(Progress {
            phase: Phase::Reading,
            done: 0,
            total: 0,
        });
        let rebuild = loop {
            // The connection of the first ends a moment after it.
            if let Begun::Here(rebuild) = Rebuild::begin(&database.url, outcomes(), Pace::FULL)
                .await
                .unwrap()
            {
                break rebuild;
            }
        };
        tokio::select! {
            _ = rebuild.run(&mut endless, false, &progress) => unreachable!("it is endless"),
            seen = shown.wait_for(|progress| progress.done == 20) => assert!(seen.is_ok()),
        }
    };
    torn.await;
    assert_eq!(
        database.rows(SCHEMAS).await,
        ["flexgate", "flexgate_rebuild_outcomes"]
    );
    while Rebuild::clean_up(&database.url).await.unwrap().is_empty() {}
    assert_eq!(database.rows(SCHEMAS).await, ["flexgate"]);
    assert_eq!(database.contents().await, before);
}

/// Reads everything, and never ends.
struct Endless(Kept);

impl Refill for Endless {
    async fn end(&mut self) -> Result<u64, Error> {
        self.0.end().await
    }

    async fn goal(&mut self, live: &Live) -> Result<Option<u64>, Error> {
        self.0.goal(live).await
    }

    async fn fill(
        &mut self,
        building: &Building,
        until: u64,
        at: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<u64>, Error> {
        self.0.fill(building, until, at).await?;
        std::future::pending().await
    }
}

/// The last two frames come when everything before them was read, and are applied to the tables that are read.
struct Meanwhile<'d> {
    kept: Kept,
    fills: usize,
    database: &'d Database,
}

impl Refill for Meanwhile<'_> {
    async fn end(&mut self) -> Result<u64, Error> {
        self.kept.end().await.map(|end| end - 2)
    }

    async fn goal(&mut self, live: &Live) -> Result<Option<u64>, Error> {
        self.kept.goal(live).await
    }

    async fn fill(
        &mut self,
        building: &Building,
        until: u64,
        at: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<u64>, Error> {
        let read = self.kept.fill(building, until, at).await;
        self.fills += 1;
        if self.fills == 2 {
            let late = self.kept.frames.clone();
            self.database.project(late, false).await?;
        }
        read
    }
}

fn outcomes() -> &'static Projection {
    Projection::named("outcomes").unwrap()
}

/// Twenty frames of ten outcomes, three an hour, the last an hour ago.
pub(super) fn frames_of_some_hours() -> Vec<Sealed> {
    let mut core = Core::of_boot("b1");
    let now = now();
    let mut frame = |number: i64| {
        let outcome = |place: i64| Outcome {
            at: now - (20 * 20 + 60 - number * 20 + place) * 60_000_000,
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

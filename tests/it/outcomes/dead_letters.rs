//! What could not be applied is applied once more: together, once each, and without what still cannot be.

use flexgate_projections::{Begun, Error, LetterId, Pace, Projection, Rebuild, RetryError, connect, retry};
use flexgate_schemas::frame::Sealed;
use futures_util::stream;
use sqlx::Executor as _;

use super::{
    database::{Database, created},
    frames::{Core, delivered, frame, plain},
};

const COUNTED: &str = "SELECT coalesce(sum(requests), 0)::text FROM flexgate.rollup_hourly";
const ROWS: &str = "SELECT count(*)::text FROM flexgate.requests";
const EPOCH: &str = "SELECT epoch::text FROM flexgate.projection_checkpoint WHERE projection = 'outcomes'";
const LEFT: &str = "SELECT sequence || ' ' || error FROM flexgate.dead_letter ORDER BY sequence";

fn letter(sequence: u64) -> LetterId {
    LetterId {
        stream_created: created(),
        sequence,
    }
}

impl Database {
    /// With dead letters, by sequences from 1 on, that this program can read now: as if it were newer than the one that
    /// could not.
    async fn with_letters(frames: &[Sealed]) -> Self {
        let database = Self::new().await;
        let broken = |frame: &Sealed| Sealed {
            payload: b"no frame".to_vec(),
            ..frame.clone()
        };
        let applied = database.apply(frames.iter().map(broken).collect()).await;
        assert_eq!(applied.dead.len(), frames.len());
        for (sequence, frame) in (1..).zip(frames) {
            database.mend(sequence, frame).await;
        }
        database
    }

    async fn mend(&self, sequence: i64, frame: &Sealed) {
        let mut connection = connect(&self.url).await.unwrap();
        let mending = sqlx::query("UPDATE flexgate.dead_letter SET payload = $1 WHERE sequence = $2")
            .bind(&*frame.payload)
            .bind(sequence);
        mending.execute(&mut connection).await.unwrap();
    }

    async fn execute(&self, sql: &'static str) {
        let mut connection = connect(&self.url).await.unwrap();
        connection.execute(sql).await.unwrap();
    }

    async fn epoch(&self) -> i64 {
        self.rows(EPOCH).await[0].parse().unwrap()
    }
}

#[tokio::test]
async fn a_dead_letter_that_can_be_applied_counts_once_and_whoever_projects_goes_on() {
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    let frames: Vec<_> = (0..20).map(|_| frame(&mut core, 10)).collect();
    database.apply(frames[..10].to_vec()).await;
    let mut projecting = database.projector().await;
    let mut broken = frames[10].clone();
    broken.payload = b"no frame".to_vec();
    let next = |messages: Vec<Sealed>| {
        let numbered = delivered([&frames[..10], &messages].concat());
        stream::iter(numbered.into_iter().skip(10).collect::<Vec<_>>())
    };
    projecting
        .run(created(), next(vec![broken]), |_| {})
        .await
        .unwrap();
    let epoch = database.epoch().await;
    let still = retry(&database.url, Some(letter(11))).await.unwrap();
    assert_eq!((still.applied, still.failed[0].0), (0, letter(11)));
    assert!(still.failed[0].1.contains("cannot be unpacked"), "{still:?}");
    let unknown = retry(&database.url, Some(letter(12))).await;
    assert!(matches!(unknown, Err(RetryError::NoLetter(id)) if id == letter(12)));
    assert_eq!(
        database.epoch().await,
        epoch,
        "nobody begins again for what is not applied"
    );

    database.mend(11, &frames[10]).await;
    assert_eq!(database.rows(COUNTED).await, ["100"]);
    assert_eq!(retry(&database.url, None).await.unwrap().applied, 1);
    assert_eq!(retry(&database.url, None).await.unwrap().applied, 0);
    assert_eq!(database.rows(COUNTED).await, ["110"]);
    let outcome = projecting
        .run(created(), next(vec![frames[10].clone()]), |_| {})
        .await;
    assert!(matches!(outcome, Err(Error::Fenced)), "{outcome:?}");
    database.apply(frames).await;
    assert_eq!(database.rows(COUNTED).await, ["200"]);
}

#[tokio::test]
async fn of_many_letters_the_bad_ones_stay_and_whoever_projects_begins_again_once() {
    let mut core = Core::of_boot("b1");
    let mut outcomes = core.numbered(&vec![plain(); 200]);
    outcomes[55].matched = Some("{no json"); // the database takes no such thing
    let mut frames: Vec<_> = outcomes.chunks(10).map(|run| core.seal(run)).collect();
    let readable = frames[9].clone();
    frames[9].payload = b"still no frame".to_vec();
    let database = Database::with_letters(&frames).await;
    let epoch = database.epoch().await;

    let retried = retry(&database.url, None).await.unwrap();
    let mut failed: Vec<_> = retried.failed.iter().map(|(id, _)| *id).collect();
    failed.sort_by_key(|id| id.sequence);
    assert_eq!((retried.applied, failed), (18, vec![letter(6), letter(10)]));
    assert!(retried.stopped_by.is_none());
    assert_eq!(database.epoch().await, epoch + 1);
    assert_eq!(database.rows(COUNTED).await, ["180"]);
    assert_eq!(database.rows(ROWS).await, ["180"]);
    let left = database.rows(LEFT).await;
    assert!(
        left.len() == 2 && left[0].starts_with("6 ") && left[0].contains("SQLSTATE 22P02"),
        "{left:?}"
    );
    assert!(left[1].contains("cannot be unpacked"), "{left:?}");

    // What was applied is known to whoever reads the stream again.
    database.mend(10, &readable).await;
    outcomes[55].matched = None;
    database.mend(6, &core.seal(&outcomes[50..60])).await;
    assert_eq!(retry(&database.url, Some(letter(6))).await.unwrap().applied, 1);
    assert_eq!(retry(&database.url, None).await.unwrap().applied, 1);
    let all = outcomes.chunks(10).map(|run| core.seal(run)).collect();
    assert_eq!(database.apply(all).await.outcomes, 0);
    assert_eq!(database.rows(COUNTED).await, ["200"]);
    assert_eq!(database.rows(ROWS).await, ["200"]);
}

#[tokio::test]
async fn letters_that_cannot_be_taken_away_do_not_count() {
    let mut core = Core::of_boot("b1");
    let frames: Vec<_> = (0..3).map(|_| frame(&mut core, 10)).collect();
    let database = Database::with_letters(&frames).await;
    database
        .execute(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
             CREATE TRIGGER keep BEFORE DELETE ON flexgate.dead_letter FOR EACH ROW EXECUTE FUNCTION keep()",
        )
        .await;
    let retried = retry(&database.url, None).await.unwrap();
    let why = "the database does not take part".to_owned();
    let failed: Vec<_> = (1..4).map(|sequence| (letter(sequence), why.clone())).collect();
    assert_eq!((retried.applied, &retried.failed), (0, &failed));
    assert!(matches!(retried.stopped_by, Some(Error::Database(_))));
    assert_eq!(database.rows(COUNTED).await, ["0"]);
    assert_eq!(database.rows(ROWS).await, ["0"]);
    assert_eq!(database.rows(LEFT).await.len(), 3);

    database
        .execute("DROP TRIGGER keep ON flexgate.dead_letter")
        .await;
    assert_eq!(retry(&database.url, None).await.unwrap().applied, 3);
    assert_eq!(database.rows(COUNTED).await, ["30"]);
    assert_eq!(database.rows(LEFT).await, [] as [String; 0]);
}

#[tokio::test]
async fn none_is_tried_while_the_projection_is_made_anew_or_without_a_database() {
    let database = Database::with_letters(&[frame(&mut Core::of_boot("b1"), 10)]).await;
    let outcomes = Projection::named("outcomes").unwrap();
    let Begun::Here(held) = Rebuild::begin(&database.url, outcomes, Pace::default())
        .await
        .unwrap()
    else {
        panic!("nobody else is at it");
    };
    for which in [None, Some(letter(1)), Some(letter(2))] {
        let busy = retry(&database.url, which).await;
        assert!(matches!(busy, Err(RetryError::Busy)), "{busy:?}");
    }
    drop(held);
    let nowhere = retry("postgres://flexgate@127.0.0.1:9/flexgate", None).await;
    assert!(matches!(nowhere, Err(RetryError::Tables(Error::Database(_)))));
}

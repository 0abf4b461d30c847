//! Old rows go, by whole partitions; counts stay. Nobody waits for that.

use chrono::{TimeDelta, Utc};
use flexgate_projections::{OutcomeProjector, Retention, connect};
use flexgate_schemas::Outcome;
use futures_util::stream;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::{
    database::{Database, created},
    frames::{Core, delivered, now, plain},
};

const PARTITIONS: &str = "
    SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'flexgate.requests'::regclass ORDER BY 1";
const COUNTED: &str = "SELECT sum(requests)::text FROM flexgate.rollup_hourly";
const ROWS: &str = "SELECT count(*)::text FROM flexgate.requests";

#[tokio::test]
async fn a_day_that_ages_out_goes_and_its_counts_stay() {
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    project(&database, &mut core, &[9, 8, 1, 0], Retention::default()).await;
    assert_eq!(database.rows(PARTITIONS).await, [9, 8, 1, 0].map(name));
    project(&database, &mut core, &[0], Retention::default()).await;
    assert_eq!(database.rows(PARTITIONS).await, [1, 0].map(name));
    assert_eq!(
        (database.rows(ROWS).await, database.rows(COUNTED).await),
        (vec!["3".to_owned()], vec!["5".to_owned()])
    );
}

#[tokio::test]
async fn when_there_is_too_much_the_oldest_go_and_the_newest_stays() {
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    project(&database, &mut core, &[3, 2, 1, 0], Retention::default()).await;
    let size = format!("SELECT pg_total_relation_size('flexgate.{}')::text", name(0));
    let each: u64 = database.rows(&size).await[0].parse().unwrap();
    let two_and_a_half = Retention {
        bytes: each * 5 / 2,
        ..Retention::default()
    };
    project(&database, &mut core, &[0], two_and_a_half).await;
    assert_eq!(database.rows(PARTITIONS).await, [1, 0].map(name));
    let nothing = Retention {
        bytes: 1,
        ..Retention::default()
    };
    project(&database, &mut core, &[0], nothing).await;
    assert_eq!(database.rows(PARTITIONS).await, [name(0)]);
    assert_eq!(database.rows(COUNTED).await, ["6"]);
}

#[tokio::test]
async fn a_busy_day_has_a_partition_for_every_hour_that_has_rows() {
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    let now = now();
    let midnight = now - now % 86_400_000_000;
    let at = |hour: i64| Outcome {
        at: midnight - 86_400_000_000 + hour * 3_600_000_000,
        ..plain()
    };
    let burst = core.numbered(&vec![at(3); 2000]);
    database.apply(vec![core.seal(&burst)]).await;
    let later = core.numbered(&[at(17)]);
    database.apply(vec![core.seal(&later)]).await;
    let day = name(1);
    assert_eq!(
        database.rows(PARTITIONS).await,
        [format!("{day}03"), format!("{day}17")]
    );
    assert_eq!(database.rows(ROWS).await, ["2001"]);
}

#[tokio::test]
async fn a_partition_that_was_made_and_not_attached_is_attached() {
    let database = Database::new().await;
    let mut connection = connect(&database.url).await.unwrap();
    let half = format!(
        "CREATE TABLE flexgate.{} (LIKE flexgate.requests INCLUDING ALL)",
        name(0)
    );
    connection.execute(sqlx::AssertSqlSafe(half)).await.unwrap();
    project(&database, &mut Core::of_boot("b1"), &[0], Retention::default()).await;
    assert_eq!(database.rows(ROWS).await, ["1"]);
}

#[tokio::test]
async fn a_partition_that_is_read_goes_later_and_nobody_waits() {
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    project(&database, &mut core, &[9, 1, 0], Retention::default()).await;
    let mut reader = PgConnection::connect(&database.url).await.unwrap();
    let mut reading = reader.begin().await.unwrap();
    reading
        .execute("SELECT count(*) FROM flexgate.requests")
        .await
        .unwrap();
    project(&database, &mut core, &[0], Retention::default()).await;
    assert_eq!(database.rows(PARTITIONS).await, [9, 1, 0].map(name));
    assert_eq!(database.rows(ROWS).await, ["4"], "rows come in all the same");
    reading.rollback().await.unwrap();
    project(&database, &mut core, &[0], Retention::default()).await;
    assert_eq!(database.rows(PARTITIONS).await, [1, 0].map(name));
}

/// A projector takes over, keeps house, and applies one outcome of each of these days before today.
async fn project(database: &Database, core: &mut Core, days_ago: &[i64], retention: Retention) {
    let connection = connect(&database.url).await.unwrap();
    let mut projector = OutcomeProjector::take_over(connection, retention).await.unwrap();
    let outcomes: Vec<_> = days_ago
        .iter()
        .map(|days| Outcome {
            at: now() - days * 86_400_000_000,
            ..plain()
        })
        .collect();
    let outcomes = core.numbered(&outcomes);
    let messages = delivered(vec![core.seal(&outcomes)]);
    projector
        .run(created(), stream::iter(messages), |_| {})
        .await
        .unwrap();
}

/// The partition of a day.
fn name(days_ago: i64) -> String {
    let day = Utc::now() - TimeDelta::days(days_ago);
    day.format("requests_%Y%m%d").to_string()
}

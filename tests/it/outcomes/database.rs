//! A database, and projectors that are handed their messages.

use chrono::{DateTime, TimeDelta, Utc};
use flexgate_projections::{Applied, Error, OutcomeProjector, Retention, connect};
use flexgate_schemas::frame::{Delivered, Sealed};
use futures_util::stream;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::time::timeout;

use super::frames::delivered;
use crate::fixtures::{LOOK_AGAIN, PATIENCE, Postgres};

/// How many requests have a row.
pub const REQUESTS: &str = "SELECT count(*) FROM flexgate.requests";
/// How many requests are counted.
pub const COUNTED: &str = "SELECT coalesce(sum(requests), 0)::bigint FROM flexgate.rollup_hourly";
/// How many messages were put aside.
pub const DEAD: &str = "SELECT count(*) FROM flexgate.dead_letter";

/// When the stream was made that the tests read.
pub fn created() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

/// A migrated database of one's own.
pub struct Database {
    pub url: String,
}

impl Database {
    pub async fn new() -> Self {
        Self {
            url: Postgres::database().await,
        }
    }

    /// A projector that has taken over.
    pub async fn projector(&self) -> OutcomeProjector {
        let connection = connect(&self.url).await.unwrap();
        OutcomeProjector::take_over(connection, Retention::default())
            .await
            .unwrap()
    }

    /// A projector takes over and applies these, one by one if it is to be careful.
    pub async fn project(&self, messages: Vec<Delivered>, careful: bool) -> Result<Applied, Error> {
        let mut projector = self.projector().await;
        if careful {
            projector = projector.careful();
        }
        let mut all = Applied::default();
        let note = |applied: &Applied| {
            all.outcomes += applied.outcomes;
            all.rows += applied.rows;
            all.repeated += applied.repeated;
            all.dead.extend(applied.dead.iter().cloned());
        };
        projector.run(created(), stream::iter(messages), note).await?;
        Ok(all)
    }

    /// A projector takes over and applies these.
    pub async fn apply(&self, messages: Vec<Sealed>) -> Applied {
        self.project(delivered(messages), false).await.unwrap()
    }

    /// The answer of a query, a number.
    pub async fn count(&self, sql: &str) -> i64 {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    /// The answer of a query, a text for each row.
    pub async fn rows(&self, sql: &str) -> Vec<String> {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        let rows = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        rows
    }
}

/// Waits until a query answers with this number.
pub async fn reaches(url: &str, sql: &'static str, number: i64) {
    let mut last = None;
    let reached = async {
        loop {
            if let Ok(mut connection) = PgConnection::connect(url).await {
                last = sqlx::query_scalar(sql).fetch_one(&mut connection).await.ok();
                if last == Some(number) {
                    return;
                }
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let in_time = timeout(PATIENCE, reached).await.is_ok();
    assert!(in_time, "{sql} is {last:?}, not {number}");
}

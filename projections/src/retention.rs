//! What is kept for how long.
//!
//! Rows of requests go by whole partitions, which costs nothing and makes nobody wait; counts are few, and go row by row.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use crate::{
    Error,
    partitions::{self, Partition},
};

pub(crate) const STATEMENTS: [&str; 6] = [EXPIRE[0], EXPIRE[1], EXPIRE[2], EXPIRE[3], EXPIRE[4], EXPIRE[5]];

/// What goes row by row, with the number of days it is kept for: hours for a quarter, days for two years, weeks for ever.
/// Dead letters are kept as long as alerts are.
const EXPIRE: [&str; 6] = [
    "DELETE FROM rollup_hourly WHERE hour < $1::timestamptz - interval '90 days'",
    "DELETE FROM status_hourly WHERE hour < $1::timestamptz - interval '90 days'",
    "DELETE FROM usage_hourly WHERE hour < $1::timestamptz - interval '90 days'",
    "DELETE FROM rollup_closed WHERE hour < $1::timestamptz - interval '90 days'",
    "DELETE FROM rollup_daily WHERE day < ($1::timestamptz AT TIME ZONE 'UTC')::date - 730",
    "DELETE FROM dead_letter WHERE noticed_at < $1::timestamptz - interval '400 days'",
];

/// How long the rows of requests are kept, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// For so many days.
    pub days: u32,
    /// Until all of them, with their indexes, take so many bytes. The newest partition stays, whatever it takes.
    pub bytes: u64,
}

impl Default for Retention {
    /// A week, and 10 GiB: thirty million requests, since a disk is full sooner than somebody looks.
    fn default() -> Self {
        Self {
            days: 7,
            bytes: 10 << 30,
        }
    }
}

/// What was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Partitions that are gone.
    pub(crate) dropped: Vec<Partition>,
    /// Partitions that should be, and were being read.
    pub(crate) postponed: usize,
}

/// Lets go of what is kept no longer.
pub(crate) async fn keep_house(
    connection: &mut PgConnection,
    retention: Retention,
    now: DateTime<Utc>,
) -> Result<Kept, Error> {
    let mut kept = Kept::default();
    for partition in overdue(&partitions::sizes(connection).await?, retention, now) {
        if partition.drop(connection).await? {
            kept.dropped.push(partition);
        } else {
            kept.postponed += 1;
        }
    }
    for statement in EXPIRE {
        sqlx::query(statement).bind(now).execute(&mut *connection).await?;
    }
    Ok(kept)
}

/// The oldest that are too old or too much. The newest is never among them.
fn overdue(sizes: &[(Partition, u64)], retention: Retention, now: DateTime<Utc>) -> Vec<Partition> {
    let oldest = now - TimeDelta::days(retention.days.into());
    let mut bytes: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
    let droppable = &sizes[..sizes.len().saturating_sub(1)];
    let is_overdue = |(partition, size): &&(Partition, u64)| {
        let is_overdue = partition.end() <= oldest || bytes > retention.bytes;
        bytes -= size;
        is_overdue
    };
    droppable
        .iter()
        .take_while(is_overdue)
        .map(|(partition, _)| *partition)
        .collect()
}

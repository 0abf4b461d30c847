//! Counts of closed hours, brought back from the stream that outlives the frames.
//!
//! Done once, into empty tables. Frames that were counted in a restored hour, and are still there, then only bring their
//! rows: [`Fold`](super::batch::Fold) is told up to where each hour is complete.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use flexgate_schemas::{Timestamp, rollup::ClosedHour};
use sqlx::PgConnection;

use super::{
    batch::{Batch, Status},
    sums::Sums,
};

pub(super) const STATEMENTS: [&str; 2] = [NOTE, RESTORED];

const NOTE: &str = "
    UPDATE rollup_closed
    SET version = $2, through = $3, stale = false, restored_created = $4, restored_through = $3
    WHERE hour = $1";

const RESTORED: &str = "
    SELECT hour, restored_through FROM rollup_closed
    WHERE restored_through IS NOT NULL AND restored_created = $1";

/// Up to which sequence of the stream that was created then each restored hour is complete, by hours since 1970.
pub(super) async fn load(
    connection: &mut PgConnection,
    stream_created: Option<DateTime<Utc>>,
) -> Result<HashMap<i64, u64>, sqlx::Error> {
    let restored: Vec<(DateTime<Utc>, i64)> = sqlx::query_as(RESTORED)
        .bind(stream_created)
        .fetch_all(connection)
        .await?;
    let each = restored.into_iter();
    Ok(each
        .map(|(hour, through)| (hour.timestamp().div_euclid(3600), through.unsigned_abs()))
        .collect())
}

/// Notes that an hour was restored: after its counts, since they make it one that is to be published.
pub(super) async fn note(transaction: &mut PgConnection, hour: &ClosedHour) -> Result<(), sqlx::Error> {
    sqlx::query(NOTE)
        .bind(DateTime::<Utc>::from(hour.hour))
        .bind(i32::try_from(hour.version).unwrap_or(i32::MAX))
        .bind(hour.through.cast_signed())
        .bind(DateTime::from_timestamp_micros(hour.stream_created))
        .execute(transaction)
        .await
        .map(drop)
}

/// What the parts of an hour have counted.
pub(super) fn counts(parts: &[ClosedHour]) -> Batch {
    let mut batch = Batch::default();
    for part in parts {
        let hour = hour_of(part.hour);
        for route in &part.routes {
            let symbol = batch.symbols.of(route.route.as_deref());
            batch.hours.entry((hour, symbol)).or_default().merge(&Sums {
                requests: route.requests,
                errors: route.errors,
                bytes_in: route.bytes_in,
                bytes_out: route.bytes_out,
                latency: route.latency.clone(),
                upstream_latency: route.upstream_latency.clone(),
            });
        }
        for status in &part.statuses {
            let key = Status {
                hour,
                route: batch.symbols.of(status.route.as_deref()),
                upstream: batch.symbols.of(status.upstream.as_deref()),
                class: status.status_class,
                refused: batch.symbols.of(status.refused.as_deref()),
            };
            *batch.statuses.entry(key).or_default() += status.requests;
        }
        for key in &part.keys {
            let symbol = batch.symbols.of(Some(&key.key));
            batch.usage.entry((hour, symbol)).or_default().merge(&Sums {
                requests: key.requests,
                errors: key.errors,
                bytes_in: key.bytes_in,
                bytes_out: key.bytes_out,
                ..Sums::default()
            });
        }
    }
    batch
}

fn hour_of(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(3_600_000)
}

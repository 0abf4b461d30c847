//! `flexgate.outcome_sources`: what has been applied of each source.

use std::{collections::HashMap, ops::Bound};

use chrono::{DateTime, Utc};
use flexgate_schemas::frame::Source;
use sqlx::{PgConnection, postgres::types::PgRange};

use super::{arrivals::Arrivals, batch::Progress, seen::Seen};
use crate::checkpoint::bigint;

pub(super) const STATEMENTS: [&str; 2] = [LOAD, PUT];

const LOAD: &str = "
    SELECT node, boot, core, mark, ARRAY(SELECT unnest(holes)) AS holes, outcomes, rows, first_at, last_at
    FROM outcome_sources";

const PUT: &str = "
    INSERT INTO outcome_sources AS held
        (node, boot, core, mark, holes, outcomes, rows, first_at, last_at)
    VALUES ($1, $2, $3, $4, (SELECT coalesce(range_agg(hole), '{}') FROM unnest($5::int8range[]) AS hole), $6, $7, $8, $9)
    ON CONFLICT (node, boot, core) DO UPDATE SET
        mark = EXCLUDED.mark, holes = EXCLUDED.holes, outcomes = EXCLUDED.outcomes, rows = EXCLUDED.rows,
        first_at = EXCLUDED.first_at, last_at = EXCLUDED.last_at";

type Stored = (
    String,
    String,
    i32,
    i64,
    Vec<PgRange<i64>>,
    i64,
    i64,
    Option<DateTime<Utc>>,
    Option<DateTime<Utc>>,
);

/// All of them.
pub(super) async fn load(connection: &mut PgConnection) -> Result<HashMap<Source, Progress>, sqlx::Error> {
    let stored: Vec<Stored> = sqlx::query_as(LOAD).fetch_all(connection).await?;
    stored.into_iter().map(read).collect()
}

/// Writes those that went on.
pub(super) async fn put(
    transaction: &mut PgConnection,
    sources: &HashMap<Source, Progress>,
) -> Result<(), sqlx::Error> {
    for (source, progress) in sources {
        let times = progress.arrivals.times();
        let time = |micros: i64| DateTime::from_timestamp_micros(micros);
        let holes = progress.seen.holes().iter();
        let holes = holes.map(|hole| Ok(PgRange::from(bigint(hole.start)?..bigint(hole.end)?)));
        let holes = holes.collect::<Result<Vec<_>, sqlx::Error>>()?;
        sqlx::query(PUT)
            .bind(source.node.as_str())
            .bind(source.boot.as_str())
            .bind(i32::from(source.core))
            .bind(bigint(progress.seen.mark())?)
            .bind(holes)
            .bind(bigint(progress.outcomes)?)
            .bind(bigint(progress.rows)?)
            .bind(times.and_then(|(first, _)| time(first)))
            .bind(times.and_then(|(_, last)| time(last)))
            .execute(&mut *transaction)
            .await?;
    }
    Ok(())
}

fn read(stored: Stored) -> Result<(Source, Progress), sqlx::Error> {
    let (node, boot, core, mark, holes, outcomes, rows, first_at, last_at) = stored;
    let source = Source {
        node: node.parse().map_err(unreadable)?,
        boot: boot.parse().map_err(unreadable)?,
        core: core.try_into().map_err(unreadable)?,
    };
    let number = |number: i64| u64::try_from(number).map_err(unreadable);
    let holes = holes.iter().filter_map(|hole| match (hole.start, hole.end) {
        (Bound::Included(start), Bound::Excluded(end)) => {
            Some(u64::try_from(start).ok()?..u64::try_from(end).ok()?)
        }
        _ => None, // the database writes every finite range of integers in the one form above
    });
    let times = first_at.zip(last_at);
    let times = times.map(|(first, last)| (first.timestamp_micros(), last.timestamp_micros()));
    let progress = Progress {
        seen: Seen::new(number(mark)?, holes),
        outcomes: number(outcomes)?,
        rows: number(rows)?,
        arrivals: Arrivals::new(times),
    };
    Ok((source, progress))
}

fn unreadable(error: impl Into<sqlx::error::BoxDynError>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

//! What the tables say of how many outcomes there were, to be held against each other and against the stream.

use std::{collections::HashMap, ops::Range, time::Duration};

use flexgate_schemas::frame::Source;
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use super::{NAME, seen::Seen, sources};
use crate::{Error, Position, migrate::late};

pub(super) const STATEMENTS: [&str; 1] = [COUNTS];

/// How long the database may take to count its rows.
const COUNT_WITHIN: Duration = Duration::from_mins(10);

/// The fields of [`Counts`], in their order. What is kept for a shorter time is held against what is kept for longer from
/// the first week, day or hour on that it has whole.
const COUNTS: &str = "
    WITH weeks AS (
        SELECT CASE WHEN EXISTS (SELECT FROM flexgate.rollup_weekly WHERE week < first) THEN first + 7 ELSE first END
            AS since
        FROM (SELECT date_trunc('week', min(day))::date AS first FROM flexgate.rollup_daily) AS daily),
    days AS (
        SELECT CASE WHEN EXISTS (SELECT FROM flexgate.rollup_daily WHERE day < first) THEN first + 1 ELSE first END
            AS since
        FROM (SELECT (min(hour) AT TIME ZONE 'UTC')::date AS first FROM flexgate.rollup_hourly) AS hourly),
    hours AS (SELECT date_trunc('hour', min(at)) + interval '1 hour' AS since FROM flexgate.requests)
    SELECT ARRAY[
        (SELECT count(*) FROM flexgate.requests),
        (SELECT count(DISTINCT id) FROM flexgate.requests),
        (SELECT count(*) FROM flexgate.requests, hours WHERE at >= since),
        (SELECT sum(requests) FROM flexgate.rollup_hourly, hours WHERE hour >= since),
        (SELECT sum(requests) FROM flexgate.rollup_hourly),
        (SELECT sum(flexgate.sketch_count(latency)) FROM flexgate.rollup_hourly),
        (SELECT sum(requests) FROM flexgate.status_hourly),
        (SELECT sum(requests) FROM flexgate.rollup_hourly, days WHERE hour >= since::timestamp AT TIME ZONE 'UTC'),
        (SELECT sum(requests) FROM flexgate.rollup_daily, days WHERE day >= since),
        (SELECT sum(requests) FROM flexgate.rollup_daily, weeks WHERE day >= since),
        (SELECT sum(requests) FROM flexgate.rollup_weekly, weeks WHERE week >= since),
        (SELECT sum(requests) FROM flexgate.rollup_weekly),
        (SELECT count(*) FROM flexgate.dead_letter WHERE projection = $1),
        (SELECT count(*) FROM flexgate.rollup_closed WHERE restored_through IS NOT NULL)]::bigint[]";

/// What the tables say, all at one moment.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// Up to where the stream was applied.
    pub position: Position,
    /// What has been applied of each source.
    pub sources: HashMap<Source, Taken>,
    /// How many requests the tables have.
    pub counts: Counts,
}

/// What has been applied of a source.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    seen: Seen,
    /// How many outcomes.
    pub outcomes: u64,
    /// How many of them have, or had, a row.
    pub rows: u64,
}

/// How many requests the tables have, in each of the ways in which they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Rows.
    pub rows: u64,
    /// Different ids among them.
    pub ids: u64,
    /// Rows of the hours of which all rows are there.
    pub rows_of_hours: u64,
    /// What those hours count.
    pub hours_with_rows: u64,
    /// All hours.
    pub hours: u64,
    /// All hours, as their sketches have it.
    pub hours_in_sketches: u64,
    /// All hours, as the classes of status have it.
    pub hours_by_status: u64,
    /// The hours of the days of which all hours are there.
    pub hours_of_days: u64,
    /// Those days.
    pub days_with_hours: u64,
    /// The days of the weeks of which all days are there.
    pub days_of_weeks: u64,
    /// Those weeks.
    pub weeks_with_days: u64,
    /// All weeks.
    pub weeks: u64,
    /// Messages that were put aside.
    pub dead_letters: u64,
    /// Hours that were brought back from ROLLUPS.
    pub restored_hours: u64,
}

impl Accounts {
    /// Counts. Reads all of `requests`.
    pub async fn read(connection: &mut PgConnection) -> Result<Self, Error> {
        timeout(COUNT_WITHIN, Self::read_snapshot(connection))
            .await
            .map_err(late)?
    }

    async fn read_snapshot(connection: &mut PgConnection) -> Result<Self, Error> {
        let mut snapshot = connection
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await?;
        let position = Position::read(&mut snapshot, NAME).await?;
        let sources = sources::load(&mut snapshot).await?.into_iter();
        let counts: Vec<Option<i64>> = sqlx::query_scalar(COUNTS)
            .bind(NAME)
            .fetch_one(&mut *snapshot)
            .await?;
        snapshot.commit().await?;
        let sources = sources.map(|(source, progress)| {
            let taken = Taken {
                seen: progress.seen,
                outcomes: progress.outcomes,
                rows: progress.rows,
            };
            (source, taken)
        });
        Ok(Self {
            position,
            sources: sources.collect(),
            counts: Counts::of(&counts),
        })
    }
}

impl Taken {
    /// The counter after the highest that has been applied.
    pub fn mark(&self) -> u64 {
        self.seen.mark()
    }

    /// The parts of a run that have not been applied.
    pub fn missing(&self, run: &Range<u64>) -> Vec<Range<u64>> {
        self.seen.fresh(run)
    }
}

impl Counts {
    /// The sum of no rows is null.
    fn of(row: &[Option<i64>]) -> Self {
        let mut numbers = row.iter().map(|number| number.unwrap_or_default().unsigned_abs());
        let mut next = || numbers.next().unwrap_or_default();
        Self {
            rows: next(),
            ids: next(),
            rows_of_hours: next(),
            hours_with_rows: next(),
            hours: next(),
            hours_in_sketches: next(),
            hours_by_status: next(),
            hours_of_days: next(),
            days_with_hours: next(),
            days_of_weeks: next(),
            weeks_with_days: next(),
            weeks: next(),
            dead_letters: next(),
            restored_hours: next(),
        }
    }
}

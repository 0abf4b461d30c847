//! What becomes of that which only the tables know, when outcomes are read again: the stream has days of them, ROLLUPS the
//! counts of closed hours, and the tables more than both.
//!
//! An hour's rows are all there if the stream has everything from its first message on, and its counts if it has that, or
//! if the hour was closed and the stream has everything since. Of all other hours the rows that were not read again are
//! carried over, and the counts whole: an hour that the stream has half of is never halved. A day is the sum of its hours,
//! and a week of its days, also where some of them were carried over; where the hours were let go of long ago, a day stays as
//! it is if less was read again.

use chrono::{DateTime, Utc};
use sqlx::{Executor as _, PgConnection};
use tokio::time::Instant;

use super::sources;
use crate::{
    Error,
    checkpoint::bigint,
    migrate::SCHEMA,
    partitions::{Partition, Partitions, sizes_of},
    rebuild::Pace,
};

/// Nobody closes an hour while its bookkeeping changes hands.
pub(crate) const KEEP_HOURS: &str = "LOCK TABLE rollup_closed IN SHARE ROW EXCLUSIVE MODE";

/// What is remembered in a build, beside its tables: how the hours were when it began, from where on the stream was read,
/// and which hours and days are dealt with how.
pub(crate) fn memory(building: &str) -> String {
    format!(
        "CREATE TABLE {building}.started AS SELECT * FROM {SCHEMA}.rollup_closed;
         CREATE TABLE {building}.reach (stream_created timestamptz, sequence bigint NOT NULL);
         CREATE TABLE {building}.replaced (partition text PRIMARY KEY);
         CREATE TABLE {building}.carried_hours (hour timestamptz PRIMARY KEY);
         CREATE TABLE {building}.changed_hours (hour timestamptz PRIMARY KEY);
         CREATE TABLE {building}.carried_days (day date PRIMARY KEY);
         CREATE TABLE {building}.carried_weeks (week date PRIMARY KEY);"
    )
}

/// From where on the stream was read without a gap.
const REACH: &str = "
    WITH forgotten AS (DELETE FROM reach)
    INSERT INTO reach SELECT stream_created, coalesce($1, 9223372036854775807)
    FROM projection_checkpoint WHERE projection = 'outcomes'";

/// The hours of these whose rows the stream does not have, as far as is known.
const UNREAD: &str = "
    SELECT hour FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 hour', interval '1 hour') AS hour
    WHERE NOT EXISTS (
        SELECT FROM flexgate.rollup_closed l, reach r
        WHERE l.hour = hour.hour AND l.first_created = r.stream_created AND l.first_sequence >= r.sequence)
    ORDER BY hour";

/// Which of these hours have rows that were not read again.
const HOURS_TO_CARRY: &str = "
    SELECT hour FROM unnest($1::timestamptz[]) AS hour WHERE EXISTS (
        SELECT FROM flexgate.requests l WHERE l.at >= hour AND l.at < hour + interval '1 hour' AND NOT EXISTS (
            SELECT FROM requests b WHERE b.id = l.id AND b.at >= hour AND b.at < hour + interval '1 hour'))";

const CARRY_ROWS: &str = "
    INSERT INTO requests SELECT l.* FROM flexgate.requests l
    WHERE l.at >= $1 AND l.at < $1 + interval '1 hour' AND NOT EXISTS (
        SELECT FROM requests b WHERE b.id = l.id AND b.at >= $1 AND b.at < $1 + interval '1 hour')";

const REPLACE: &str = "INSERT INTO replaced (partition) VALUES ($1)";
const REPLACED: &str = "SELECT partition FROM replaced";

const MARKED: &str = "SELECT begins_at, ends_at FROM carried_over WHERE relation = 'requests'";

/// Of a row that was carried over and read again, one is enough.
const ONCE: &str = "
    DELETE FROM requests one USING requests other
    WHERE one.at >= $1 AND one.at < $2 AND other.at >= $1 AND other.at < $2
        AND other.at = one.at AND other.id = one.id AND other.tableoid = one.tableoid AND other.ctid < one.ctid";

const MARK: &str = "
    INSERT INTO carried_over (projection, relation, begins_at, ends_at) VALUES ('outcomes', 'requests', $1, $2)
    ON CONFLICT (projection, relation, begins_at) DO UPDATE SET ends_at = EXCLUDED.ends_at";

const UNMARK: &str =
    "DELETE FROM carried_over WHERE relation = 'requests' AND begins_at = $1 AND ends_at = $2";

/// Takes from sums what was read of spans that are carried over.
macro_rules! subtract {
    ($sums:literal, $span:literal, $of:literal, $from:literal, $carried:literal, $key:literal) => {
        concat!(
            "UPDATE ", $sums, " AS held SET requests = held.requests - less.requests, errors = held.errors - less.errors,
                bytes_in = held.bytes_in - less.bytes_in, bytes_out = held.bytes_out - less.bytes_out,
                latency = held.latency - less.latency, upstream_latency = held.upstream_latency - less.upstream_latency
             FROM (SELECT ", $of, " AS span, route, sum(requests) AS requests, sum(errors) AS errors,
                sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out, sum(latency) AS latency,
                sum(upstream_latency) AS upstream_latency
                FROM ", $from, " JOIN ", $carried, " USING (", $key, ") GROUP BY 1, 2) less
             WHERE held.", $span, " = less.span AND held.route IS NOT DISTINCT FROM less.route"
        )
    };
}

/// Adds to sums what the tables that are read have of spans that are carried over.
macro_rules! add {
    ($sums:literal, $span:literal, $of:literal, $from:literal, $carried:literal, $key:literal) => {
        concat!(
            "INSERT INTO ", $sums, " AS held
                (", $span, ", route, requests, errors, bytes_in, bytes_out, latency, upstream_latency)
             SELECT ", $of, ", route, sum(requests), sum(errors), sum(bytes_in), sum(bytes_out), sum(latency),
                sum(upstream_latency)
             FROM flexgate.", $from, " JOIN ", $carried, " USING (", $key, ") GROUP BY 1, 2
             ON CONFLICT (", $span, ", route) DO UPDATE SET
                requests = held.requests + EXCLUDED.requests, errors = held.errors + EXCLUDED.errors,
                bytes_in = held.bytes_in + EXCLUDED.bytes_in, bytes_out = held.bytes_out + EXCLUDED.bytes_out,
                latency = held.latency + EXCLUDED.latency,
                upstream_latency = held.upstream_latency + EXCLUDED.upstream_latency"
        )
    };
}

macro_rules! replace_out {
    ($table:literal, $carried:literal, $key:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE ",
            $key,
            " IN (TABLE ",
            $carried,
            ")"
        )
    };
}

macro_rules! replace_in {
    ($table:literal, $carried:literal, $key:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " SELECT * FROM flexgate.",
            $table,
            " WHERE ",
            $key,
            " IN (TABLE ",
            $carried,
            ")"
        )
    };
}

/// In order: which hours, days and weeks are carried over; what that makes of their sums; and the bookkeeping.
const COUNTS: [&str; 21] = [
    "INSERT INTO carried_hours
     SELECT l.hour FROM flexgate.rollup_closed l CROSS JOIN reach r
     LEFT JOIN rollup_closed b USING (hour) LEFT JOIN started s USING (hour)
     WHERE (
        l.first_created = r.stream_created AND l.first_sequence >= r.sequence AND l.restored_through IS NULL
        OR b.restored_created = r.stream_created AND b.restored_through >= r.sequence - 1
        OR b.restored_through IS NOT NULL AND b.version >= s.version AND NOT s.stale AND s.through IS NOT NULL
     ) IS NOT TRUE",
    subtract!("rollup_daily", "day", "(hour AT TIME ZONE 'UTC')::date", "rollup_hourly", "carried_hours", "hour"),
    add!("rollup_daily", "day", "(hour AT TIME ZONE 'UTC')::date", "rollup_hourly", "carried_hours", "hour"),
    subtract!("rollup_weekly", "week", "date_trunc('week', hour AT TIME ZONE 'UTC')::date", "rollup_hourly", "carried_hours", "hour"),
    add!("rollup_weekly", "week", "date_trunc('week', hour AT TIME ZONE 'UTC')::date", "rollup_hourly", "carried_hours", "hour"),
    replace_out!("rollup_hourly", "carried_hours", "hour"),
    replace_in!("rollup_hourly", "carried_hours", "hour"),
    replace_out!("status_hourly", "carried_hours", "hour"),
    replace_in!("status_hourly", "carried_hours", "hour"),
    replace_out!("usage_hourly", "carried_hours", "hour"),
    replace_in!("usage_hourly", "carried_hours", "hour"),
    // A day of which not all hours are there any more.
    "INSERT INTO carried_days
     SELECT l.day FROM (SELECT day, sum(requests) AS requests FROM flexgate.rollup_daily GROUP BY day) l
     LEFT JOIN (SELECT day, sum(requests) AS requests FROM rollup_daily GROUP BY day) b USING (day)
     WHERE l.requests > coalesce(b.requests, 0) AND l.day < (
        SELECT CASE WHEN EXISTS (SELECT FROM flexgate.rollup_daily WHERE day < first) THEN first + 1 ELSE coalesce(first, 'infinity') END
        FROM (SELECT (min(hour) AT TIME ZONE 'UTC')::date AS first FROM flexgate.rollup_hourly) AS hourly)",
    subtract!("rollup_weekly", "week", "date_trunc('week', day)::date", "rollup_daily", "carried_days", "day"),
    add!("rollup_weekly", "week", "date_trunc('week', day)::date", "rollup_daily", "carried_days", "day"),
    replace_out!("rollup_daily", "carried_days", "day"),
    replace_in!("rollup_daily", "carried_days", "day"),
    // A week of which not all days are there any more.
    "INSERT INTO carried_weeks
     SELECT l.week FROM (SELECT week, sum(requests) AS requests FROM flexgate.rollup_weekly GROUP BY week) l
     LEFT JOIN (SELECT week, sum(requests) AS requests FROM rollup_weekly GROUP BY week) b USING (week)
     WHERE l.requests > coalesce(b.requests, 0) AND l.week < (
        SELECT CASE WHEN EXISTS (SELECT FROM flexgate.rollup_weekly WHERE week < first) THEN first + 7 ELSE coalesce(first, 'infinity') END
        FROM (SELECT date_trunc('week', min(day))::date AS first FROM flexgate.rollup_daily) AS daily)",
    replace_out!("rollup_weekly", "carried_weeks", "week"),
    replace_in!("rollup_weekly", "carried_weeks", "week"),
    "INSERT INTO carried_over (projection, relation, begins_at, ends_at)
     SELECT 'outcomes', 'rollup_hourly', min(hour), max(hour) + interval '1 hour'
     FROM (SELECT hour, hour - row_number() OVER (ORDER BY hour) * interval '1 hour' AS island FROM carried_hours) hours
     GROUP BY island
     UNION ALL
     SELECT 'outcomes', 'rollup_daily', min(day), max(day) + 1
     FROM (SELECT day, day - row_number() OVER (ORDER BY day)::integer AS island FROM carried_days) days GROUP BY island
     UNION ALL
     SELECT 'outcomes', 'rollup_weekly', min(week), max(week) + 7
     FROM (SELECT week, week - 7 * row_number() OVER (ORDER BY week)::integer AS island FROM carried_weeks) weeks
     GROUP BY island",
    "INSERT INTO dead_letter SELECT l.* FROM flexgate.dead_letter l, reach r
     WHERE l.projection = 'outcomes' AND (l.stream_created IS DISTINCT FROM r.stream_created OR l.sequence < r.sequence)
     ON CONFLICT DO NOTHING",
];

/// What was noticed before was noticed then; hours that are as they were need not be published again, and one that is not
/// is, under a version of its own.
const BOOKKEEPING: [&str; 4] = [
    "UPDATE dead_letter b SET noticed_at = l.noticed_at FROM flexgate.dead_letter l
     WHERE (l.projection, l.stream_created, l.sequence) = (b.projection, b.stream_created, b.sequence)",
    "INSERT INTO changed_hours
     SELECT hour FROM ((TABLE flexgate.rollup_hourly EXCEPT TABLE rollup_hourly)
        UNION ALL (TABLE rollup_hourly EXCEPT TABLE flexgate.rollup_hourly)) routes
     UNION SELECT hour FROM ((TABLE flexgate.status_hourly EXCEPT TABLE status_hourly)
        UNION ALL (TABLE status_hourly EXCEPT TABLE flexgate.status_hourly)) statuses
     UNION SELECT hour FROM ((TABLE flexgate.usage_hourly EXCEPT TABLE usage_hourly)
        UNION ALL (TABLE usage_hourly EXCEPT TABLE flexgate.usage_hourly)) keys",
    "UPDATE rollup_closed b SET version = greatest(b.version, l.version),
        through = CASE WHEN c.hour IS NULL THEN l.through ELSE b.through END,
        stale = CASE WHEN c.hour IS NULL THEN l.stale ELSE true END,
        first_created = CASE WHEN l.first_created = r.stream_created AND l.first_sequence >= r.sequence
            THEN b.first_created ELSE l.first_created END,
        first_sequence = CASE WHEN l.first_created = r.stream_created AND l.first_sequence >= r.sequence
            THEN b.first_sequence ELSE l.first_sequence END
     FROM reach r, flexgate.rollup_closed l LEFT JOIN changed_hours c USING (hour)
     WHERE l.hour = b.hour",
    "INSERT INTO rollup_closed SELECT l.* FROM flexgate.rollup_closed l JOIN carried_hours USING (hour)
     ON CONFLICT (hour) DO UPDATE SET version = EXCLUDED.version, through = EXCLUDED.through, stale = EXCLUDED.stale,
        restored_created = EXCLUDED.restored_created, restored_through = EXCLUDED.restored_through,
        first_created = EXCLUDED.first_created, first_sequence = EXCLUDED.first_sequence",
];

/// Carries over the rows that no stream has, for partitions that were made anew. The others stay as they are.
pub(crate) async fn rows(
    building: &mut PgConnection,
    live: &mut PgConnection,
    reach: Option<u64>,
    pace: Pace,
) -> Result<(), Error> {
    let reach = reach.map(bigint).transpose()?;
    sqlx::query(REACH).bind(reach).execute(&mut *building).await?;
    let mut partitions = Partitions::load(building).await?;
    for (partition, _) in sizes_of(live, "requests").await? {
        let unread: Vec<DateTime<Utc>> = sqlx::query_scalar(UNREAD)
            .bind(partition.begin())
            .bind(partition.end())
            .fetch_all(&mut *building)
            .await?;
        let hours = (partition.end() - partition.begin()).num_hours();
        let is_old = i64::try_from(unread.len()).is_ok_and(|unread| unread == hours);
        if is_old && !partitions.any_overlaps(partition) {
            mark(building, partition.begin(), partition.end()).await?;
            continue;
        }
        replace(building, &mut partitions, partition, unread, pace).await?;
    }
    Ok(())
}

/// What was read since, with the projector held, may belong to a partition that was to stay, or be a row that had just been
/// carried over.
pub(crate) async fn late_rows(building: &mut PgConnection, live: &mut PgConnection) -> Result<(), Error> {
    let mut partitions = Partitions::load(building).await?;
    // Each that is made anew may bring others in its way.
    while let Some(partition) = in_the_way(building, live, &partitions).await? {
        sqlx::query(UNMARK)
            .bind(partition.begin())
            .bind(partition.end())
            .execute(&mut *building)
            .await?;
        replace(
            building,
            &mut partitions,
            partition,
            partition.each_hour(),
            Pace::FULL,
        )
        .await?;
    }
    let marked: Vec<(DateTime<Utc>, DateTime<Utc>)> =
        sqlx::query_as(MARKED).fetch_all(&mut *building).await?;
    for (begin, end) in marked {
        sqlx::query(ONCE)
            .bind(begin)
            .bind(end)
            .execute(&mut *building)
            .await?;
    }
    Ok(())
}

/// A partition that would stay, if it had room beside those that were made anew.
async fn in_the_way(
    building: &mut PgConnection,
    live: &mut PgConnection,
    anew: &Partitions,
) -> Result<Option<Partition>, Error> {
    let replaced: Vec<String> = sqlx::query_scalar(REPLACED).fetch_all(building).await?;
    let mut live = sizes_of(live, "requests").await?.into_iter();
    let found = live
        .find(|(partition, _)| anew.any_overlaps(*partition) && !replaced.contains(&partition.to_string()));
    Ok(found.map(|(partition, _)| partition))
}

/// A partition is to go: what it has of these hours, and was not read again, is carried over.
async fn replace(
    building: &mut PgConnection,
    partitions: &mut Partitions,
    partition: Partition,
    unread: Vec<DateTime<Utc>>,
    pace: Pace,
) -> Result<(), Error> {
    sqlx::query(REPLACE)
        .bind(partition.to_string())
        .execute(&mut *building)
        .await?;
    let carried: Vec<DateTime<Utc>> = sqlx::query_scalar(HOURS_TO_CARRY)
        .bind(unread)
        .fetch_all(&mut *building)
        .await?;
    for hour in carried {
        let began = Instant::now();
        let number = hour.timestamp().div_euclid(3600);
        partitions.ensure(building, &[number].into(), 0).await?;
        sqlx::query(CARRY_ROWS).bind(hour).execute(&mut *building).await?;
        mark(building, hour, hour + chrono::TimeDelta::hours(1)).await?;
        pace.rest(began.elapsed()).await;
    }
    Ok(())
}

async fn mark(building: &mut PgConnection, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<(), Error> {
    sqlx::query(MARK).bind(from).bind(to).execute(building).await?;
    Ok(())
}

/// Carries over the counts that no stream has, with the projector held.
pub(crate) async fn counts(building: &mut PgConnection, live: &mut PgConnection) -> Result<(), Error> {
    for statement in COUNTS {
        building.execute(statement).await?;
    }
    merge_sources(building, live).await?;
    for statement in BOOKKEEPING {
        building.execute(statement).await?;
    }
    Ok(())
}

/// What was applied of each source is what was read again, and what was not and is there.
async fn merge_sources(building: &mut PgConnection, live: &mut PgConnection) -> Result<(), Error> {
    let mut merged = sources::load(live).await?;
    for (source, again) in sources::load(building).await? {
        let known = merged.entry(source).or_default();
        let more: u64 = again
            .seen
            .ranges()
            .iter()
            .map(|run| known.seen.see_more(run))
            .sum();
        known.outcomes = (known.outcomes + more).max(again.outcomes);
        known.rows = known.rows.max(again.rows);
        known.arrivals.widen(again.arrivals);
    }
    sources::put(building, &merged).await?;
    Ok(())
}

/// The partitions that stay, and those that go.
async fn sorted(
    connection: &mut PgConnection,
    building: &str,
) -> Result<(Vec<Partition>, Vec<Partition>), Error> {
    let anew = sizes_of(connection, &format!("{building}.requests")).await?;
    let replaced: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "SELECT partition FROM {building}.replaced"
    )))
    .fetch_all(&mut *connection)
    .await?;
    let live = sizes_of(connection, &format!("{SCHEMA}.requests")).await?;
    let goes = |partition: &Partition| {
        replaced.contains(&partition.to_string()) || anew.iter().any(|(new, _)| new.overlaps(*partition))
    };
    Ok(live
        .into_iter()
        .map(|(partition, _)| partition)
        .partition(|partition| !goes(partition)))
}

/// The partitions that are read and stay.
pub(crate) async fn kept(connection: &mut PgConnection, building: &str) -> Result<Vec<Partition>, Error> {
    Ok(sorted(connection, building).await?.0)
}

/// The partitions that are read and go.
pub(crate) async fn replaced(connection: &mut PgConnection, building: &str) -> Result<Vec<Partition>, Error> {
    Ok(sorted(connection, building).await?.1)
}

//! The counts: what a batch adds to hours, days and weeks. A sketch is a number to the database, so that it is added like
//! all the others.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike as _, Days, NaiveTime, Utc};
use flexgate_schemas::Sketch;
use sqlx::PgConnection;

use super::{batch::Batch, sums::Sums};
use crate::{checkpoint::bigint, sketch::Stored};

pub(super) const STATEMENTS: [&str; 7] = [
    ADD_HOURS,
    ADD_DAYS,
    ADD_WEEKS,
    ADD_STATUSES,
    ADD_USAGE,
    MARK_STALE,
    NOTE_FIRST,
];

/// Adds to a table by span of time and route; `$span` is the column, `$of` what it holds of a point in time.
macro_rules! add {
    ($table:literal, $span:literal, $of:literal) => {
        concat!(
            "INSERT INTO ", $table, " AS held
                (", $span, ", route, requests, errors, bytes_in, bytes_out, latency, upstream_latency)
            SELECT ", $of, ", route, requests, errors, bytes_in, bytes_out, latency, upstream_latency
            FROM unnest($1::timestamptz[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                $7::numeric[], $8::numeric[])
                AS more (at, route, requests, errors, bytes_in, bytes_out, latency, upstream_latency)
            ON CONFLICT (", $span, ", route) DO UPDATE SET
                requests = held.requests + EXCLUDED.requests, errors = held.errors + EXCLUDED.errors,
                bytes_in = held.bytes_in + EXCLUDED.bytes_in, bytes_out = held.bytes_out + EXCLUDED.bytes_out,
                latency = held.latency + EXCLUDED.latency,
                upstream_latency = held.upstream_latency + EXCLUDED.upstream_latency"
        )
    };
}

const ADD_HOURS: &str = add!("rollup_hourly", "hour", "at");
const ADD_DAYS: &str = add!("rollup_daily", "day", "(at AT TIME ZONE 'UTC')::date");
const ADD_WEEKS: &str = add!("rollup_weekly", "week", "(at AT TIME ZONE 'UTC')::date");

const ADD_STATUSES: &str = "
    INSERT INTO status_hourly AS held (hour, route, upstream, status_class, refused, requests)
    SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::smallint[], $5::text[], $6::bigint[])
    ON CONFLICT (hour, route, upstream, status_class, refused) DO UPDATE SET
        requests = held.requests + EXCLUDED.requests";

const ADD_USAGE: &str = "
    INSERT INTO usage_hourly AS held (hour, api_key, requests, errors, bytes_in, bytes_out)
    SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
    ON CONFLICT (hour, api_key) DO UPDATE SET
        requests = held.requests + EXCLUDED.requests, errors = held.errors + EXCLUDED.errors,
        bytes_in = held.bytes_in + EXCLUDED.bytes_in, bytes_out = held.bytes_out + EXCLUDED.bytes_out";

const MARK_STALE: &str = "
    INSERT INTO rollup_closed AS held (hour, version, through, stale)
    SELECT hour, 0, NULL, true FROM unnest($1::timestamptz[]) AS hour
    ON CONFLICT (hour) DO UPDATE SET stale = true WHERE NOT held.stale";

/// Only of hours that begin with this: what came before them they know.
const NOTE_FIRST: &str = "
    UPDATE rollup_closed SET
        first_created = CASE WHEN first_sequence IS NULL THEN $2 ELSE first_created END,
        first_sequence = CASE WHEN first_sequence IS NULL OR first_created = $2 THEN $3 ELSE 0 END
    WHERE hour = ANY($1)
        AND (first_sequence IS NULL OR first_sequence > CASE WHEN first_created = $2 THEN $3 ELSE 0 END)";

/// What is kept of a span of time, by its beginning and the route.
type Spans<'b> = BTreeMap<(DateTime<Utc>, Option<&'b str>), Sums>;

/// Adds what a batch has counted.
pub(super) async fn merge(transaction: &mut PgConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    let (mut hours, mut days, mut weeks) = (Spans::new(), Spans::new(), Spans::new());
    for ((hour, route), sums) in &batch.hours {
        let (hour, route) = (beginning_of(*hour), batch.symbols.name(*route));
        let (day, week) = (day_of(hour), week_of(hour));
        for (spans, begin) in [(&mut hours, hour), (&mut days, day), (&mut weeks, week)] {
            spans.entry((begin, route)).or_default().merge(sums);
        }
    }
    for (statement, spans) in [(ADD_HOURS, hours), (ADD_DAYS, days), (ADD_WEEKS, weeks)] {
        add_spans(transaction, statement, &spans).await?;
    }
    add_statuses(transaction, batch).await?;
    add_usage(transaction, batch).await?;
    mark_stale(transaction, batch).await
}

async fn add_spans(
    transaction: &mut PgConnection,
    statement: &'static str,
    spans: &Spans<'_>,
) -> Result<(), sqlx::Error> {
    if spans.is_empty() {
        return Ok(());
    }
    let (begins, routes): (Vec<_>, Vec<_>) = spans.keys().copied().unzip();
    let column = |of: fn(&Sums) -> u64| {
        spans
            .values()
            .map(|sums| bigint(of(sums)))
            .collect::<Result<Vec<_>, _>>()
    };
    let sketches = |of: fn(&Sums) -> &Sketch| {
        spans
            .values()
            .map(|sums| Stored(of(sums).clone()))
            .collect::<Vec<_>>()
    };
    sqlx::query(statement)
        .bind(begins)
        .bind(routes)
        .bind(column(|sums| sums.requests)?)
        .bind(column(|sums| sums.errors)?)
        .bind(column(|sums| sums.bytes_in)?)
        .bind(column(|sums| sums.bytes_out)?)
        .bind(sketches(|sums| &sums.latency))
        .bind(sketches(|sums| &sums.upstream_latency))
        .execute(transaction)
        .await
        .map(drop)
}

async fn add_statuses(transaction: &mut PgConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    if batch.statuses.is_empty() {
        return Ok(());
    }
    let each = || batch.statuses.iter();
    let name = |symbol| batch.symbols.name(symbol);
    let counts = each()
        .map(|(_, count)| bigint(*count))
        .collect::<Result<Vec<_>, _>>()?;
    sqlx::query(ADD_STATUSES)
        .bind(
            each()
                .map(|(status, _)| beginning_of(status.hour))
                .collect::<Vec<_>>(),
        )
        .bind(each().map(|(status, _)| name(status.route)).collect::<Vec<_>>())
        .bind(
            each()
                .map(|(status, _)| name(status.upstream))
                .collect::<Vec<_>>(),
        )
        .bind(
            each()
                .map(|(status, _)| i16::from(status.class))
                .collect::<Vec<_>>(),
        )
        .bind(each().map(|(status, _)| name(status.refused)).collect::<Vec<_>>())
        .bind(counts)
        .execute(transaction)
        .await
        .map(drop)
}

async fn add_usage(transaction: &mut PgConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    if batch.usage.is_empty() {
        return Ok(());
    }
    let each = || batch.usage.iter();
    let column = |of: fn(&Sums) -> u64| {
        each()
            .map(|(_, sums)| bigint(of(sums)))
            .collect::<Result<Vec<_>, _>>()
    };
    sqlx::query(ADD_USAGE)
        .bind(
            each()
                .map(|((hour, _), _)| beginning_of(*hour))
                .collect::<Vec<_>>(),
        )
        .bind(
            each()
                .map(|((_, key), _)| batch.symbols.name(*key))
                .collect::<Vec<_>>(),
        )
        .bind(column(|sums| sums.requests)?)
        .bind(column(|sums| sums.errors)?)
        .bind(column(|sums| sums.bytes_in)?)
        .bind(column(|sums| sums.bytes_out)?)
        .execute(transaction)
        .await
        .map(drop)
}

/// Hours that go on are to be published, or published again.
async fn mark_stale(transaction: &mut PgConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    let mut hours: Vec<_> = batch.hours.keys().map(|(hour, _)| beginning_of(*hour)).collect();
    hours.sort_unstable();
    hours.dedup();
    sqlx::query(MARK_STALE)
        .bind(hours)
        .execute(transaction)
        .await
        .map(drop)
}

/// Notes for the hours that begin with a batch from where on the stream has all of them. After [`merge`].
pub(super) async fn note_first(
    transaction: &mut PgConnection,
    stream_created: Option<DateTime<Utc>>,
    batch: &Batch,
) -> Result<(), sqlx::Error> {
    let counted = batch.hours.keys().map(|(hour, _)| hour);
    let hours: BTreeSet<_> = batch.rows.hours().iter().chain(counted).collect();
    let hours: Vec<_> = hours.into_iter().map(|hour| beginning_of(*hour)).collect();
    sqlx::query(NOTE_FIRST)
        .bind(hours)
        .bind(stream_created)
        .bind(bigint(batch.first)?)
        .execute(transaction)
        .await
        .map(drop)
}

/// Frames were seen to lie between 1970 and 9999.
fn beginning_of(hour: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(hour.saturating_mul(3600), 0).unwrap_or_default()
}

fn day_of(at: DateTime<Utc>) -> DateTime<Utc> {
    at.with_time(NaiveTime::MIN).single().unwrap_or(at) // UTC skips no midnight
}

/// Its Monday (ISO 8601).
fn week_of(at: DateTime<Utc>) -> DateTime<Utc> {
    let day = day_of(at);
    let since_monday = Days::new(day.weekday().num_days_from_monday().into());
    day.checked_sub_days(since_monday).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_begins_with_its_monday() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        assert_eq!(week_of(at("2026-11-23T00:00:00Z")), at("2026-11-23T00:00:00Z"));
        assert_eq!(week_of(at("2026-11-29T23:59:59Z")), at("2026-11-23T00:00:00Z"));
        assert_eq!(week_of(at("2027-01-01T10:00:00Z")), at("2026-12-28T00:00:00Z"));
    }
}

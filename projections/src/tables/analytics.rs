//! What the counts say about a range of time: in a row, by what had most, and in shares.

use std::time::Duration;

use chrono::{DateTime, Datelike as _, Days, NaiveTime, TimeDelta, Timelike as _, Utc};
use sqlx::{FromRow, Row as _, postgres::PgRow};

use super::Tables;
use crate::Error;

/// Sums of the rows of a table within a range, perhaps of one route, and the sketch of all of them.
macro_rules! counted {
    () => {
        "sum(r.requests)::bigint AS requests, sum(r.errors)::bigint AS errors, sum(r.bytes_in)::bigint AS bytes_in,
        sum(r.bytes_out)::bigint AS bytes_out, flexgate.merge(r.latency)::flexgate.sketch AS latency"
    };
}

macro_rules! percentiles {
    () => {
        "flexgate.percentile(c.latency, 0.5) AS p50, flexgate.percentile(c.latency, 0.95) AS p95,
        flexgate.percentile(c.latency, 0.99) AS p99"
    };
}

macro_rules! series {
    ($table:literal, $within:literal, $start:literal, $step:literal) => {
        concat!(
            "SELECT s.start, coalesce(c.requests, 0) AS requests, coalesce(c.errors, 0) AS errors,
                coalesce(c.bytes_in, 0) AS bytes_in, coalesce(c.bytes_out, 0) AS bytes_out, ",
            percentiles!(),
            " FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 second', interval '",
            $step,
            "') s(start) LEFT JOIN (SELECT ",
            $start,
            " AS start, ",
            counted!(),
            " FROM flexgate.",
            $table,
            " r WHERE ",
            $within,
            " AND ($3::text IS NULL OR r.route = $3) GROUP BY 1) c USING (start) ORDER BY s.start"
        )
    };
}

/// Percentiles are made of those that are answered, not of all that were compared, unless they are what is compared.
macro_rules! top {
    ($table:literal, $within:literal) => {
        concat!(
            "SELECT c.*, n.path AS name, ",
            percentiles!(),
            " FROM (SELECT r.route AS id, ",
            counted!(),
            ", CASE $4::text
                WHEN 'errors' THEN sum(r.errors)::double precision
                WHEN 'bytes' THEN sum(r.bytes_out)::double precision
                WHEN 'slow' THEN flexgate.percentile(flexgate.merge(r.latency), 0.95)
                ELSE sum(r.requests)::double precision
            END AS measure FROM flexgate.",
            $table,
            " r WHERE ",
            $within,
            " GROUP BY r.route ORDER BY measure DESC, r.route LIMIT $3) c
            LEFT JOIN flexgate.routes n ON n.id = c.id ORDER BY c.measure DESC, c.id"
        )
    };
}

/// Of keys latencies are not kept.
const TOP_KEYS: &str = "
    SELECT c.*, n.name, NULL::double precision AS p50, NULL::double precision AS p95, NULL::double precision AS p99
    FROM (
        SELECT api_key AS id, sum(requests)::bigint AS requests, sum(errors)::bigint AS errors,
            sum(bytes_in)::bigint AS bytes_in, sum(bytes_out)::bigint AS bytes_out,
            CASE $4::text WHEN 'errors' THEN sum(errors) WHEN 'bytes' THEN sum(bytes_out) ELSE sum(requests) END AS measure
        FROM flexgate.usage_hourly
        WHERE hour >= $1 AND hour < $2
        GROUP BY api_key
        ORDER BY measure DESC, api_key
        LIMIT $3
    ) c LEFT JOIN flexgate.api_keys n ON n.id = c.id ORDER BY c.measure DESC, c.id";

macro_rules! shares {
    ($value:literal, $of:literal) => {
        concat!(
            "SELECT ",
            $value,
            " AS value, sum(requests)::bigint AS requests FROM flexgate.status_hourly
            WHERE hour >= $1 AND hour < $2 AND ($3::text IS NULL OR route = $3)",
            $of,
            " GROUP BY 1 ORDER BY 2 DESC, 1"
        )
    };
}

const STATUSES: &str = shares!(
    "CASE status_class WHEN 0 THEN NULL ELSE status_class || 'xx' END",
    ""
);
const REFUSALS: &str = shares!("refused", " AND refused IS NOT NULL");
const UPSTREAMS: &str = shares!("upstream", "");

pub(super) fn statements() -> impl Iterator<Item = &'static str> {
    let all = [Interval::Hour, Interval::Day, Interval::Week];
    let rollups = all
        .into_iter()
        .flat_map(|interval| [interval.series(), interval.top()]);
    rollups.chain([TOP_KEYS, STATUSES, REFUSALS, UPSTREAMS])
}

/// The steps of a row of counts: each has a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// Kept for 90 days, unless told otherwise.
    Hour,
    /// Kept for 2 years. In UTC.
    Day,
    /// Kept for ever. From Monday, in UTC.
    Week,
}

/// A range of whole intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first moment.
    pub since: DateTime<Utc>,
    /// The first moment after it.
    pub until: DateTime<Utc>,
    /// What it is made of.
    pub interval: Interval,
}

/// What was counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// How many requests there were.
    pub requests: u64,
    /// How many were answered with a status from 500 on, or not to the end because the upstream broke off.
    pub errors: u64,
    /// Bytes of their bodies.
    pub bytes_in: u64,
    /// Bytes of the answers' bodies.
    pub bytes_out: u64,
    /// What half of them stayed within, in microseconds; none of no request.
    pub p50_us: Option<f64>,
    /// What 95 % of them stayed within, in microseconds.
    pub p95_us: Option<f64>,
    /// What 99 % of them stayed within, in microseconds.
    pub p99_us: Option<f64>,
}

/// An interval, and what was counted in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// When it began.
    pub start: DateTime<Utc>,
    /// What was counted.
    pub counted: Counted,
}

/// Something that had requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Had {
    /// Which: the id of a route or a key; none: no route matched.
    pub id: Option<String>,
    /// What people call it, if it is still there: of a route its path.
    pub name: Option<String>,
    /// What it had. Of keys, whose latencies are not kept, without percentiles.
    pub counted: Counted,
}

/// A part of the requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// What they have in common; none: there was none of it.
    pub value: Option<String>,
    /// How many they are.
    pub requests: u64,
}

/// By what most is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Most {
    /// Requests.
    Requests,
    /// Errors.
    Errors,
    /// Bytes of answers.
    Bytes,
    /// What 95 % stay within.
    Slow,
}

/// What requests have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    /// The first digit of the status.
    Status,
    /// Why the gateway refused them.
    Refused,
    /// The upstream that was to answer.
    Upstream,
}

impl Interval {
    /// The one in which a range has not too many steps, and not too few: up to 4 days hours, up to half a year days.
    pub fn fitting(length: Duration) -> Self {
        const DAY: u64 = 86_400;
        match length.as_secs() {
            0..=345_600 => Self::Hour,
            _ if length.as_secs() <= 184 * DAY => Self::Day,
            _ => Self::Week,
        }
    }

    /// When the one began that a moment is in.
    pub fn start(self, at: DateTime<Utc>) -> DateTime<Utc> {
        let day = at.date_naive();
        match self {
            Self::Hour => day.and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(at.hour().into()),
            Self::Day => day.and_time(NaiveTime::MIN).and_utc(),
            Self::Week => {
                let monday = Days::new(day.weekday().num_days_from_monday().into());
                day.checked_sub_days(monday)
                    .unwrap_or(day)
                    .and_time(NaiveTime::MIN)
                    .and_utc()
            }
        }
    }

    /// How long one is.
    pub fn length(self) -> TimeDelta {
        match self {
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::days(1),
            Self::Week => TimeDelta::days(7),
        }
    }

    fn series(self) -> &'static str {
        match self {
            Self::Hour => series!("rollup_hourly", "hour >= $1 AND hour < $2", "hour", "1 hour"),
            Self::Day => series!(
                "rollup_daily",
                "day >= ($1 AT TIME ZONE 'UTC')::date AND day < ($2 AT TIME ZONE 'UTC')::date",
                "day::timestamp AT TIME ZONE 'UTC'",
                "1 day"
            ),
            Self::Week => series!(
                "rollup_weekly",
                "week >= ($1 AT TIME ZONE 'UTC')::date AND week < ($2 AT TIME ZONE 'UTC')::date",
                "week::timestamp AT TIME ZONE 'UTC'",
                "7 days"
            ),
        }
    }

    fn top(self) -> &'static str {
        match self {
            Self::Hour => top!("rollup_hourly", "hour >= $1 AND hour < $2"),
            Self::Day => top!(
                "rollup_daily",
                "day >= ($1 AT TIME ZONE 'UTC')::date AND day < ($2 AT TIME ZONE 'UTC')::date"
            ),
            Self::Week => top!(
                "rollup_weekly",
                "week >= ($1 AT TIME ZONE 'UTC')::date AND week < ($2 AT TIME ZONE 'UTC')::date"
            ),
        }
    }
}

impl Span {
    /// All intervals that have some of a range.
    pub fn around(since: DateTime<Utc>, until: DateTime<Utc>, interval: Interval) -> Self {
        let last = interval.start(until - TimeDelta::microseconds(1));
        Self {
            since: interval.start(since),
            until: last + interval.length(),
            interval,
        }
    }

    /// How many intervals it has.
    pub fn steps(&self) -> i64 {
        (self.until - self.since).num_hours() / self.interval.length().num_hours()
    }
}

impl Most {
    fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Errors => "errors",
            Self::Bytes => "bytes",
            Self::Slow => "slow",
        }
    }
}

impl Tables {
    /// What was counted in each interval of a span, perhaps for one route. An interval without requests is there, too.
    pub async fn series(&self, span: &Span, route: Option<&str>) -> Result<Vec<Point>, Error> {
        let series = sqlx::query_as(span.interval.series())
            .bind(span.since)
            .bind(span.until)
            .bind(route)
            .fetch_all(&self.pool)
            .await?;
        Ok(series)
    }

    /// The routes that had most; also what no route matched.
    pub async fn top_routes(&self, span: &Span, most: Most, limit: u32) -> Result<Vec<Had>, Error> {
        self.top(span.interval.top(), span, most, limit).await
    }

    /// The keys that had most. A span of hours: longer ones are added up.
    pub async fn top_keys(&self, span: &Span, most: Most, limit: u32) -> Result<Vec<Had>, Error> {
        self.top(TOP_KEYS, span, most, limit).await
    }

    async fn top(
        &self,
        statement: &'static str,
        span: &Span,
        most: Most,
        limit: u32,
    ) -> Result<Vec<Had>, Error> {
        let top = sqlx::query_as(statement)
            .bind(span.since)
            .bind(span.until)
            .bind(i64::from(limit))
            .bind(most.as_str())
            .fetch_all(&self.pool)
            .await?;
        Ok(top)
    }

    /// What the requests of a span have in common, perhaps those of one route; the most frequent first.
    pub async fn shares(
        &self,
        span: &Span,
        aspect: Aspect,
        route: Option<&str>,
    ) -> Result<Vec<Share>, Error> {
        let statement = match aspect {
            Aspect::Status => STATUSES,
            Aspect::Refused => REFUSALS,
            Aspect::Upstream => UPSTREAMS,
        };
        let shares = sqlx::query_as(statement)
            .bind(span.since)
            .bind(span.until)
            .bind(route)
            .fetch_all(&self.pool)
            .await?;
        Ok(shares)
    }
}

impl FromRow<'_, PgRow> for Counted {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let count = |name| row.try_get(name).map(i64::unsigned_abs);
        Ok(Self {
            requests: count("requests")?,
            errors: count("errors")?,
            bytes_in: count("bytes_in")?,
            bytes_out: count("bytes_out")?,
            p50_us: row.try_get("p50")?,
            p95_us: row.try_get("p95")?,
            p99_us: row.try_get("p99")?,
        })
    }
}

impl FromRow<'_, PgRow> for Point {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            start: row.try_get("start")?,
            counted: Counted::from_row(row)?,
        })
    }
}

impl FromRow<'_, PgRow> for Had {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            counted: Counted::from_row(row)?,
        })
    }
}

impl FromRow<'_, PgRow> for Share {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            value: row.try_get("value")?,
            requests: row.try_get("requests").map(i64::unsigned_abs)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_span_is_made_of_whole_intervals_around_a_range() {
        let (since, until) = (at("2026-11-26T10:20:00Z"), at("2026-11-27T09:00:00Z"));
        let around = |interval| {
            let span = Span::around(since, until, interval);
            (span.since, span.until, span.steps())
        };
        assert_eq!(around(Interval::Hour), (at("2026-11-26T10:00:00Z"), until, 23));
        assert_eq!(
            around(Interval::Day),
            (at("2026-11-26T00:00:00Z"), at("2026-11-28T00:00:00Z"), 2)
        );
        assert_eq!(
            around(Interval::Week),
            (at("2026-11-23T00:00:00Z"), at("2026-11-30T00:00:00Z"), 1)
        );
    }
}

//! What the counts say about a range of time: in a row, by what had most, and in shares.

mod statements;

use std::time::Duration;

use chrono::{DateTime, Datelike as _, Days, NaiveTime, TimeDelta, Timelike as _, Utc};
use sqlx::{FromRow, Row as _, postgres::PgRow};

use super::Tables;
use crate::Error;

pub(super) use statements::statements;

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
        let series = sqlx::query_as(statements::series(span.interval))
            .bind(span.since)
            .bind(span.until)
            .bind(route)
            .fetch_all(&self.pool)
            .await?;
        Ok(series)
    }

    /// The routes that had most; also what no route matched.
    pub async fn top_routes(&self, span: &Span, most: Most, limit: u32) -> Result<Vec<Had>, Error> {
        self.top(statements::top(span.interval), span, most, limit).await
    }

    /// The keys that had most. A span of hours: longer ones are added up.
    pub async fn top_keys(&self, span: &Span, most: Most, limit: u32) -> Result<Vec<Had>, Error> {
        self.top(statements::TOP_KEYS, span, most, limit).await
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
            Aspect::Status => statements::STATUSES,
            Aspect::Refused => statements::REFUSALS,
            Aspect::Upstream => statements::UPSTREAMS,
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

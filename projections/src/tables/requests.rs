//! Pages of requests, the newest first.
//!
//! Rows have no index in the order of time, which would cost more than all that ask for it: a summary of each block's times
//! finds those of a range, and that is read whole. So the past is walked back in slices, first of a second, each longer than
//! the one before while they are found fast: who asks for what happens all the time waits for a second's rows, and who asks
//! for what is rare is told after a while how far back was looked, and goes on from there.

use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::{FromRow, Row as _, postgres::PgRow, types::Uuid};
use tokio::time::Instant;

use super::Tables;
use crate::{Error, checkpoint::bigint};

pub(super) const STATEMENTS: [&str; 1] = [SLICE];

/// How far back the first slice goes.
const SLICE_MIN: TimeDelta = TimeDelta::seconds(1);
/// The longest one: behind quiet hours there may be a busy one, which has to be read within the time of a statement.
const SLICE_MAX: TimeDelta = TimeDelta::hours(1);
/// Nothing is recorded that is further ahead than this.
const AHEAD_MAX: TimeDelta = TimeDelta::days(1);
/// Slices that are found as fast as this grow fourfold, and those that take four times as long are halved.
const FAST: Duration = Duration::from_millis(250);
/// After how long a page ends with what was found until then.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long after the time that an id carries it is looked for: a client may have made it long before it sent it, and other
/// gateways get it later.
const ID_LASTS: TimeDelta = TimeDelta::hours(1);
/// How far the clocks of those may be behind.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(1);

/// Which requests of a range. What is null does not matter.
const SLICE: &str = r"
    SELECT id, at, generation, revision, duration_us, upstream_us, bytes_in, bytes_out, status, attempts, node, route,
        upstream, target, method, host, path, query, refused, error, api_key, client, user_agent,
        coalesce(correlation_id, id::text) AS correlation_id, trace_id, matched
    FROM flexgate.requests
    WHERE at >= $1 AND at <= $2 AND (at < $2 OR id < $3)
        AND ($4::text IS NULL OR route = $4)
        AND ($5::text IS NULL OR upstream = $5)
        AND ($6::smallint IS NULL OR coalesce(status, 0) >= $6)
        AND ($7::smallint IS NULL OR coalesce(status, 0) <= $7)
        AND ($8::text IS NULL OR refused = $8)
        AND ($9::text IS NULL OR error = $9)
        AND ($10::text IS NULL OR method = $10)
        AND ($11::text IS NULL OR starts_with(path, $11))
        AND ($12::bigint IS NULL OR duration_us >= $12)
        AND ($13::text IS NULL OR client = $13)
        AND ($14::text IS NULL OR api_key = $14)
        AND ($15::text IS NULL OR correlation_id = $15 OR correlation_id IS NULL AND id = $16::uuid)
        AND ($17::text IS NULL OR node = $17)
        AND ($18::bigint IS NULL OR revision = $18)
    ORDER BY at DESC, id DESC
    LIMIT $19";

/// Which requests. The default is all of them.
#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    /// That this route took: its id.
    pub route: Option<String>,
    /// That this upstream was to answer.
    pub upstream: Option<String>,
    /// With a status from the first to the last; 0: the client went away before there was one.
    pub status: Option<(i16, i16)>,
    /// That the gateway itself refused, with this code.
    pub refused: Option<String>,
    /// With which this went wrong after the answer had begun.
    pub error: Option<String>,
    /// With this method.
    pub method: Option<String>,
    /// With a path that begins with this.
    pub path: Option<String>,
    /// That took so many microseconds at least.
    pub min_duration_us: Option<u64>,
    /// From this address.
    pub client: Option<String>,
    /// With the key of this id.
    pub key: Option<String>,
    /// With this correlation id, which is their own where the client gave none.
    pub correlation: Option<String>,
    /// That this node took.
    pub node: Option<String>,
    /// That were routed by this revision.
    pub revision: Option<u64>,
}

/// What became of a request.
#[derive(Debug)]
#[expect(
    missing_docs,
    reason = "the columns of the table, which explain themselves there"
)]
pub struct RequestEntry {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub generation: i64,
    pub revision: i64,
    pub duration_us: i64,
    pub upstream_us: Option<i64>,
    pub bytes_in: i64,
    pub bytes_out: i64,
    pub status: Option<i16>,
    pub attempts: i16,
    pub node: String,
    pub route: Option<String>,
    pub upstream: Option<String>,
    pub target: Option<String>,
    pub method: String,
    pub host: Option<String>,
    pub path: String,
    pub query: Option<String>,
    pub refused: Option<String>,
    pub error: Option<String>,
    pub api_key: Option<String>,
    pub client: Option<String>,
    pub user_agent: Option<String>,
    pub correlation_id: String,
    pub trace_id: Option<String>,
    pub matched: Option<Value>,
}

/// Some of the requests that were asked for.
#[derive(Debug)]
pub struct RequestPage {
    /// The newest first.
    pub entries: Vec<RequestEntry>,
    /// How far back was looked.
    pub looked_back_to: DateTime<Utc>,
    /// Where the next page begins, if there may be one.
    pub next: Option<RequestCursor>,
}

/// A place among the requests: before a time, or after a request of that time. Written as `<microseconds>`, or as
/// `<microseconds>.<id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCursor {
    at: DateTime<Utc>,
    /// That of the last request of the page before.
    id: Option<Uuid>,
}

impl Tables {
    /// At most so many of the requests of a range, after a place in it.
    pub async fn requests(
        &self,
        filter: &RequestFilter,
        (since, until): (DateTime<Utc>, DateTime<Utc>),
        after: Option<RequestCursor>,
        limit: u16,
    ) -> Result<RequestPage, Error> {
        let until = until.min(Utc::now() + AHEAD_MAX);
        let (since, until) = filter.narrowed(since, until);
        let begin = RequestCursor { at: until, id: None };
        let mut place = after.filter(|after| after.at <= until).unwrap_or(begin);
        let (mut entries, mut slice, began) = (Vec::new(), SLICE_MIN, Instant::now());
        while place.at > since || place.id.is_some() && place.at == since {
            let lower = since.max(place.at.checked_sub_signed(slice).unwrap_or(since));
            let asked = Instant::now();
            let rest = limit - u16::try_from(entries.len()).unwrap_or(limit);
            entries.extend(self.slice(filter, (lower, place), rest).await?);
            if let Some(last) = entries.last().filter(|_| entries.len() >= limit.into()) {
                return Ok(RequestPage {
                    looked_back_to: last.at,
                    next: Some(last.cursor()),
                    entries,
                });
            }
            place = RequestCursor { at: lower, id: None };
            if began.elapsed() > PATIENCE && lower > since {
                return Ok(RequestPage {
                    entries,
                    looked_back_to: lower,
                    next: Some(place),
                });
            }
            slice = match asked.elapsed() {
                took if took <= FAST => SLICE_MAX.min(slice * 4),
                took if took >= 4 * FAST => SLICE_MIN.max(slice / 2),
                _ => slice,
            };
        }
        Ok(RequestPage {
            entries,
            looked_back_to: since,
            next: None,
        })
    }

    async fn slice(
        &self,
        filter: &RequestFilter,
        (since, before): (DateTime<Utc>, RequestCursor),
        limit: u16,
    ) -> Result<Vec<RequestEntry>, Error> {
        let (least, most) = filter.status.unzip();
        let min_duration = filter.min_duration_us.map(bigint).transpose()?;
        let revision = filter.revision.map(bigint).transpose()?;
        let found = sqlx::query_as(SLICE)
            .bind(since)
            .bind(before.at)
            .bind(before.id)
            .bind(&filter.route)
            .bind(&filter.upstream)
            .bind(least)
            .bind(most)
            .bind(&filter.refused)
            .bind(&filter.error)
            .bind(&filter.method)
            .bind(&filter.path)
            .bind(min_duration)
            .bind(&filter.client)
            .bind(&filter.key)
            .bind(&filter.correlation)
            .bind(filter.own_id())
            .bind(&filter.node)
            .bind(revision)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        Ok(found)
    }
}

impl RequestFilter {
    /// The correlation id, if it can be one that a gateway has made.
    fn own_id(&self) -> Option<Uuid> {
        self.correlation.as_deref()?.parse().ok()
    }

    /// The range in which they can be: an id that carries its time tells it.
    fn narrowed(&self, since: DateTime<Utc>, until: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let made_at = self.own_id().and_then(|id| id.get_timestamp()).and_then(|time| {
            let (seconds, nanos) = time.to_unix();
            DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
        });
        let earliest = made_at.and_then(|at| at.checked_sub_signed(CLOCKS_DIFFER));
        let latest = made_at.and_then(|at| at.checked_add_signed(ID_LASTS));
        (
            earliest.map_or(since, |earliest| since.max(earliest)),
            latest.map_or(until, |latest| until.min(latest)),
        )
    }
}

impl RequestEntry {
    fn cursor(&self) -> RequestCursor {
        RequestCursor {
            at: self.at,
            id: Some(self.id),
        }
    }
}

impl FromRow<'_, PgRow> for RequestEntry {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            at: row.try_get("at")?,
            generation: row.try_get("generation")?,
            revision: row.try_get("revision")?,
            duration_us: row.try_get("duration_us")?,
            upstream_us: row.try_get("upstream_us")?,
            bytes_in: row.try_get("bytes_in")?,
            bytes_out: row.try_get("bytes_out")?,
            status: row.try_get("status")?,
            attempts: row.try_get("attempts")?,
            node: row.try_get("node")?,
            route: row.try_get("route")?,
            upstream: row.try_get("upstream")?,
            target: row.try_get("target")?,
            method: row.try_get("method")?,
            host: row.try_get("host")?,
            path: row.try_get("path")?,
            query: row.try_get("query")?,
            refused: row.try_get("refused")?,
            error: row.try_get("error")?,
            api_key: row.try_get("api_key")?,
            client: row.try_get("client")?,
            user_agent: row.try_get("user_agent")?,
            correlation_id: row.try_get("correlation_id")?,
            trace_id: row.try_get("trace_id")?,
            matched: row.try_get("matched")?,
        })
    }
}

impl fmt::Display for RequestCursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.at.timestamp_micros())?;
        self.id.map_or(Ok(()), |id| write!(out, ".{id}"))
    }
}

impl FromStr for RequestCursor {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let read = || {
            let (micros, id) = match text.split_once('.') {
                Some((micros, id)) => (micros, Some(id.parse().ok()?)),
                None => (text, None),
            };
            let at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
            Some(Self { at, id })
        };
        read().ok_or("a cursor is taken from the `Link` of the page before")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is_one() {
        for text in [
            "1767225600000000",
            "1767225600000000.019b76da-a800-7000-8000-000000000001",
        ] {
            assert_eq!(text.parse::<RequestCursor>().unwrap().to_string(), text);
        }
        for text in ["", "x", "1.", "1.x", "99999999999999999999"] {
            assert!(text.parse::<RequestCursor>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_id_with_its_time_is_looked_for_around_it_and_any_other_everywhere() {
        let (since, until): (DateTime<Utc>, DateTime<Utc>) = (
            "2026-01-01T00:00:00Z".parse().unwrap(),
            "2026-01-02T00:00:00Z".parse().unwrap(),
        );
        let narrowed = |correlation: &str| {
            let filter = RequestFilter {
                correlation: Some(correlation.to_owned()),
                ..RequestFilter::default()
            };
            filter.narrowed(since, until)
        };
        for anywhere in ["mine", "0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f"] {
            assert_eq!(narrowed(anywhere), (since, until));
        }
        let noon: DateTime<Utc> = "2026-01-01T12:00:00Z".parse().unwrap();
        assert_eq!(
            narrowed("019b796d-d600-7000-8000-000000000001"),
            (noon - TimeDelta::minutes(1), noon + TimeDelta::hours(1))
        );
    }
}

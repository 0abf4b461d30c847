//! Closed hours, for the stream that outlives the frames.
//!
//! An hour is first claimed, then read in one snapshot, published, and noted as published. Whatever comes in between
//! marks it as stale, and a crash in between leaves it claimed: then it is published again, under its next version.

use chrono::{DateTime, TimeDelta, Utc};
use flexgate_schemas::{
    Timestamp,
    rollup::{ClosedHour, Covered, KeyHour, RouteHour, StatusHour},
};
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use super::{NAME, TAKE_WITHIN, sources};
use crate::{Error, Position, migrate::late, sketch::Stored};

pub(super) const STATEMENTS: [&str; 6] = [DUE, CLAIM, PUBLISHED, ROUTES, STATUSES, KEYS];

/// How long after its end an hour is closed: longer than frames are late when nothing is wrong.
const GRACE: TimeDelta = TimeDelta::minutes(10);
/// How many routes one part has, and how many other rows ten times as many: a megabyte at the very most.
const PART_ROUTES: usize = 100;

/// The oldest hour that is to be published, with the version that it was published under.
const DUE: &str = "
    SELECT hour, version FROM rollup_closed
    WHERE hour < $1 AND (stale OR through IS NULL) ORDER BY hour LIMIT 1";

const CLAIM: &str = "
    UPDATE rollup_closed SET version = $2, through = NULL, stale = false WHERE hour = $1";

const PUBLISHED: &str = "UPDATE rollup_closed SET through = $3 WHERE hour = $1 AND version = $2";

const ROUTES: &str = "
    SELECT route, requests, errors, bytes_in, bytes_out, latency, upstream_latency
    FROM rollup_hourly WHERE hour = $1 ORDER BY route";

const STATUSES: &str = "
    SELECT route, upstream, status_class, refused, requests
    FROM status_hourly WHERE hour = $1 ORDER BY route, upstream, status_class, refused";

const KEYS: &str = "
    SELECT api_key, requests, errors, bytes_in, bytes_out FROM usage_hourly WHERE hour = $1 ORDER BY api_key";

/// A row of [`ROUTES`].
type RouteRow = (Option<String>, i64, i64, i64, i64, Stored, Stored);
/// A row of [`STATUSES`].
type StatusRow = (Option<String>, Option<String>, i16, Option<String>, i64);

/// Says which hours are to be published, and remembers which were. Publishes nothing itself.
#[derive(Debug)]
pub struct Closing(PgConnection);

/// An hour that is to be published: its parts, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueHour {
    /// When it began.
    pub hour: DateTime<Utc>,
    /// Under which version.
    pub version: u32,
    /// What is to be published. At least one.
    pub parts: Vec<ClosedHour>,
}

impl Closing {
    /// With a connection of its own, for the time that the projector acts.
    pub fn new(connection: PgConnection) -> Self {
        Self(connection)
    }

    /// The oldest hour that is to be published. `read_up_to` is the time up to which everything on the stream was applied:
    /// while a projection is made anew from old frames, no hour is closed by the clock on the wall.
    pub async fn next(&mut self, read_up_to: DateTime<Utc>) -> Result<Option<DueHour>, Error> {
        timeout(TAKE_WITHIN, self.claim_and_read(read_up_to))
            .await
            .map_err(late)?
    }

    /// All parts are on the stream.
    pub async fn published(&mut self, due: &DueHour) -> Result<(), Error> {
        let through = due.parts.first().map_or(0, |part| part.through);
        let noting = sqlx::query(PUBLISHED)
            .bind(due.hour)
            .bind(due.version.cast_signed())
            .bind(through.cast_signed())
            .execute(&mut self.0);
        timeout(TAKE_WITHIN, noting).await.map_err(late)??;
        Ok(())
    }

    async fn claim_and_read(&mut self, read_up_to: DateTime<Utc>) -> Result<Option<DueHour>, Error> {
        let ended_by = read_up_to - GRACE - TimeDelta::hours(1);
        let due: Option<(DateTime<Utc>, i32)> = sqlx::query_as(DUE)
            .bind(ended_by)
            .fetch_optional(&mut self.0)
            .await?;
        let Some((hour, version)) = due else {
            return Ok(None);
        };
        let version = version.saturating_add(1);
        sqlx::query(CLAIM)
            .bind(hour)
            .bind(version)
            .execute(&mut self.0)
            .await?;
        let mut snapshot = self
            .0
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await?;
        let whole = read(&mut snapshot, hour, version.unsigned_abs()).await?;
        snapshot.commit().await?;
        Ok(Some(DueHour {
            hour,
            version: version.unsigned_abs(),
            parts: parts(whole),
        }))
    }
}

/// Everything that is counted in an hour, as one part.
async fn read(
    snapshot: &mut PgConnection,
    hour: DateTime<Utc>,
    version: u32,
) -> Result<ClosedHour, sqlx::Error> {
    let position = Position::read(snapshot, NAME).await?;
    let routes: Vec<RouteRow> = sqlx::query_as(ROUTES)
        .bind(hour)
        .fetch_all(&mut *snapshot)
        .await?;
    let statuses: Vec<StatusRow> = sqlx::query_as(STATUSES)
        .bind(hour)
        .fetch_all(&mut *snapshot)
        .await?;
    let keys: Vec<(String, i64, i64, i64, i64)> =
        sqlx::query_as(KEYS).bind(hour).fetch_all(&mut *snapshot).await?;
    let sources = sources::load(snapshot).await?.into_iter();
    let (from, to) = (
        hour.timestamp_micros(),
        (hour + TimeDelta::hours(1)).timestamp_micros(),
    );
    let mut covers: Vec<_> = sources
        .filter(|(_, progress)| progress.arrivals.touch(from, to))
        .map(|(source, progress)| Covered {
            node: source.node,
            boot: source.boot,
            core: source.core,
            mark: progress.seen.mark(),
            holes: progress
                .seen
                .holes()
                .iter()
                .map(|hole| (hole.start, hole.end))
                .collect(),
        })
        .collect();
    covers.sort_by(|a, b| (&a.node, &a.boot, a.core).cmp(&(&b.node, &b.boot, b.core)));
    Ok(ClosedHour {
        hour: Timestamp::from(hour),
        version,
        part: 1,
        parts: 1,
        stream_created: position.stream_created.map_or(0, |at| at.timestamp_micros()),
        through: position.sequence,
        covers,
        routes: routes.into_iter().map(route_hour).collect(),
        statuses: statuses.into_iter().map(status_hour).collect(),
        keys: keys.into_iter().map(key_hour).collect(),
    })
}

/// Cut into pieces that a server takes.
fn parts(mut whole: ClosedHour) -> Vec<ClosedHour> {
    let mut routes = std::mem::take(&mut whole.routes).into_iter();
    let mut statuses = std::mem::take(&mut whole.statuses).into_iter();
    let mut keys = std::mem::take(&mut whole.keys).into_iter();
    let mut covers = std::mem::take(&mut whole.covers).into_iter();
    let mut parts = Vec::new();
    loop {
        let part = ClosedHour {
            routes: routes.by_ref().take(PART_ROUTES).collect(),
            statuses: statuses.by_ref().take(10 * PART_ROUTES).collect(),
            keys: keys.by_ref().take(10 * PART_ROUTES).collect(),
            covers: covers.by_ref().take(10 * PART_ROUTES).collect(),
            ..whole.clone()
        };
        let is_empty = part.routes.is_empty()
            && part.statuses.is_empty()
            && part.keys.is_empty()
            && part.covers.is_empty();
        if is_empty && !parts.is_empty() {
            break;
        }
        parts.push(part);
    }
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    for (number, part) in (1..).zip(&mut parts) {
        (part.part, part.parts) = (number, count);
    }
    parts
}

fn route_hour(row: RouteRow) -> RouteHour {
    let (route, requests, errors, bytes_in, bytes_out, latency, upstream_latency) = row;
    RouteHour {
        route,
        requests: requests.unsigned_abs(),
        errors: errors.unsigned_abs(),
        bytes_in: bytes_in.unsigned_abs(),
        bytes_out: bytes_out.unsigned_abs(),
        latency: latency.0,
        upstream_latency: upstream_latency.0,
    }
}

fn status_hour(row: StatusRow) -> StatusHour {
    let (route, upstream, class, refused, requests) = row;
    StatusHour {
        route,
        upstream,
        status_class: u8::try_from(class).unwrap_or_default(),
        refused,
        requests: requests.unsigned_abs(),
    }
}

fn key_hour((key, requests, errors, bytes_in, bytes_out): (String, i64, i64, i64, i64)) -> KeyHour {
    KeyHour {
        key,
        requests: requests.unsigned_abs(),
        errors: errors.unsigned_abs(),
        bytes_in: bytes_in.unsigned_abs(),
        bytes_out: bytes_out.unsigned_abs(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> ClosedHour {
        ClosedHour {
            hour: Timestamp::default(),
            version: 1,
            part: 1,
            parts: 1,
            stream_created: 0,
            through: 9,
            covers: Vec::new(),
            routes: Vec::new(),
            statuses: Vec::new(),
            keys: Vec::new(),
        }
    }

    #[test]
    fn an_hour_with_many_routes_is_cut_into_parts_that_make_it_up() {
        let status = |n: usize| StatusHour {
            route: Some(n.to_string()),
            upstream: None,
            status_class: 2,
            refused: None,
            requests: 1,
        };
        let whole = ClosedHour {
            statuses: (0..2500).map(status).collect(),
            ..empty()
        };
        let parts = parts(whole.clone());
        let numbers: Vec<_> = parts.iter().map(|part| (part.part, part.parts)).collect();
        assert_eq!(numbers, [(1, 3), (2, 3), (3, 3)]);
        let together: Vec<_> = parts.into_iter().flat_map(|part| part.statuses).collect();
        assert_eq!(together, whole.statuses);
    }

    #[test]
    fn an_hour_without_anything_is_one_part() {
        assert_eq!(parts(empty()), [empty()]);
    }
}

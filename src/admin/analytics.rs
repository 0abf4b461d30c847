//! `/api/analytics`: what became of requests, counted, over any range of time. From the tables alone.

use axum::{Json, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use flexgate_projections::{Aspect, Counted, Had, Interval, Most, Point, Share, Span};
use flexgate_schemas::{RouteId, Timestamp};
use http::HeaderMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Shared,
    error::Error,
    operation::{Operation, Resource},
    params::Query,
    read::{tables, tables_reached},
};

const TAG: &str = "Analytics";
/// How far back is asked unless the caller says.
const RANGE: TimeDelta = TimeDelta::days(1);
/// The most steps of a series.
const STEPS_MAX: i64 = 2_000;
/// How many entries a list of what had most has unless the caller says.
const TOP: u16 = 10;
/// The most that it has.
const TOP_MAX: u16 = 1_000;

/// What can be asked.
pub(super) fn resources() -> [Resource<Shared>; 3] {
    const RANGES: &str = "A range is widened to whole hours, days or weeks (UTC), whose counts are kept for 90 days, 2 years and for \
                          ever: the answer says which it was. Counts are of all requests, also where only a sample is kept.";
    [
        Resource::at("/api/analytics/timeseries", TAG).get(
            timeseries,
            Operation::new("getTimeseries", "Requests, errors and latencies, step by step")
                .details(RANGES)
                .query::<InSteps>()
                .answers::<Timeseries>(200, "Every step of the range, also those without requests."),
        ),
        Resource::at("/api/analytics/top", TAG).get(
            top,
            Operation::new("getTop", "The routes or keys that had most")
                .details(RANGES)
                .query::<OfMost>()
                .headers(&["FlexGate-Min-Revision"])
                .answers::<Top>(200, "Those with most first."),
        ),
        Resource::at("/api/analytics/breakdown", TAG).get(
            breakdown,
            Operation::new("getBreakdown", "How requests were answered, refused or sent on")
                .details("A range is widened to whole hours (UTC), whose counts are kept for 90 days.")
                .query::<InParts>()
                .answers::<Breakdown>(200, "The most frequent first."),
        ),
    ]
}

/// Which steps.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InSteps {
    /// Not before; 24 hours before `until` unless said.
    #[serde(default)]
    since: Option<Timestamp>,
    /// Before; now unless said.
    #[serde(default)]
    until: Option<Timestamp>,
    /// Only what this route took.
    #[serde(default)]
    route: Option<RouteId>,
    /// How long a step is; unless said hours up to 4 days, days up to half a year, and weeks beyond.
    #[serde(default)]
    interval: Option<Step>,
}

/// Which entries.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfMost {
    /// Not before; 24 hours before `until` unless said.
    #[serde(default)]
    since: Option<Timestamp>,
    /// Before; now unless said.
    #[serde(default)]
    until: Option<Timestamp>,
    /// What had it: routes, unless said.
    #[serde(default)]
    by: Who,
    /// Most of what: requests, unless said.
    #[serde(default)]
    metric: Metric,
    /// How many entries: 10 unless said, 1000 at most.
    #[serde(default)]
    limit: Option<u16>,
}

/// Which parts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InParts {
    /// Not before; 24 hours before `until` unless said.
    #[serde(default)]
    since: Option<Timestamp>,
    /// Before; now unless said.
    #[serde(default)]
    until: Option<Timestamp>,
    /// Only what this route took.
    #[serde(default)]
    route: Option<RouteId>,
    /// What they have in common: the class of their status, unless said.
    #[serde(default)]
    by: Common,
}

/// How long a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Step {
    Hour,
    Day,
    Week,
}

/// What had requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Who {
    #[default]
    Route,
    Key,
}

/// By what most is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Metric {
    #[default]
    Requests,
    Errors,
    /// Of answers.
    Bytes,
    /// What 95 % stay within; of routes only.
    P95,
}

/// What requests have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Common {
    #[default]
    Status,
    Refused,
    Upstream,
}

/// The range that was counted.
#[derive(Debug, Serialize, JsonSchema)]
struct Covered {
    /// Its first moment.
    since: Timestamp,
    /// The first moment after it.
    until: Timestamp,
    /// Of which counts it is made.
    interval: Step,
}

/// A row of counts.
#[derive(Debug, Serialize, JsonSchema)]
struct Timeseries {
    #[serde(flatten)]
    covered: Covered,
    /// One for each step.
    points: Vec<Counts>,
}

/// What had most.
#[derive(Debug, Serialize, JsonSchema)]
struct Top {
    #[serde(flatten)]
    covered: Covered,
    /// Those with most first.
    entries: Vec<Entry>,
}

/// Parts of the whole.
#[derive(Debug, Serialize, JsonSchema)]
struct Breakdown {
    #[serde(flatten)]
    covered: Covered,
    /// The most frequent first.
    entries: Vec<Part>,
}

/// What was counted. Latencies are in milliseconds, within 0.54 %, and absent without requests.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Counts {
    /// Of a step: when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<Timestamp>,
    /// How many requests there were.
    requests: u64,
    /// How many were answered with a status from 500 on, or not to the end because the upstream broke off.
    errors: u64,
    /// Bytes of their bodies.
    bytes_in: u64,
    /// Bytes of the answers' bodies.
    bytes_out: u64,
    /// What half of them stayed within.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p50_ms: Option<f64>,
    /// What 95 % of them stayed within.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p95_ms: Option<f64>,
    /// What 99 % of them stayed within.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p99_ms: Option<f64>,
}

/// A route or a key, and what it had.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TopEntry")]
struct Entry {
    /// Its id; null: no route matched.
    id: Option<String>,
    /// The path of the route, or the name of the key; absent if it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(flatten)]
    counts: Counts,
}

/// A part of the requests.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BreakdownEntry")]
struct Part {
    /// What they have in common: `2xx`, the code of a refusal, the name of an upstream. Null: there was none of it.
    value: Option<String>,
    /// How many they are.
    requests: u64,
}

async fn timeseries(
    State(admin): State<Shared>,
    Query(asked): Query<InSteps>,
) -> Result<Json<Timeseries>, Error> {
    let span = span(asked.since, asked.until, asked.interval)?;
    if span.steps() > STEPS_MAX {
        return Err(Error::Query(format!(
            "that is {} steps, of {STEPS_MAX} at most: ask for a shorter range or a longer `interval`",
            span.steps()
        )));
    }
    let route = asked.route.as_ref().map(RouteId::as_str);
    let points = tables(&admin)?
        .series(&span, route)
        .await
        .map_err(|error| Error::of_tables(&error))?;
    Ok(Json(Timeseries {
        covered: Covered::of(&span),
        points: points.into_iter().map(Counts::from).collect(),
    }))
}

async fn top(
    State(admin): State<Shared>,
    Query(asked): Query<OfMost>,
    headers: HeaderMap,
) -> Result<Json<Top>, Error> {
    let limit = asked.limit.unwrap_or(TOP);
    if !(1..=TOP_MAX).contains(&limit) {
        return Err(Error::Query(format!("`limit` is 1 to {TOP_MAX}")));
    }
    if (asked.by, asked.metric) == (Who::Key, Metric::P95) {
        return Err(Error::Query(
            "latencies of keys are not kept: ask for another `metric`".to_owned(),
        ));
    }
    let most = match asked.metric {
        Metric::Requests => Most::Requests,
        Metric::Errors => Most::Errors,
        Metric::Bytes => Most::Bytes,
        Metric::P95 => Most::Slow,
    };
    // Names are those of the configuration.
    let tables = tables_reached(&headers, &admin).await?;
    let (span, entries) = match asked.by {
        Who::Route => {
            let span = span(asked.since, asked.until, None)?;
            (span, tables.top_routes(&span, most, limit.into()).await)
        }
        Who::Key => {
            let span = span(asked.since, asked.until, Some(Step::Hour))?;
            (span, tables.top_keys(&span, most, limit.into()).await)
        }
    };
    let entries = entries.map_err(|error| Error::of_tables(&error))?;
    Ok(Json(Top {
        covered: Covered::of(&span),
        entries: entries.into_iter().map(Entry::from).collect(),
    }))
}

async fn breakdown(
    State(admin): State<Shared>,
    Query(asked): Query<InParts>,
) -> Result<Json<Breakdown>, Error> {
    let span = span(asked.since, asked.until, Some(Step::Hour))?;
    let aspect = match asked.by {
        Common::Status => Aspect::Status,
        Common::Refused => Aspect::Refused,
        Common::Upstream => Aspect::Upstream,
    };
    let route = asked.route.as_ref().map(RouteId::as_str);
    let shares = tables(&admin)?.shares(&span, aspect, route).await;
    let shares = shares.map_err(|error| Error::of_tables(&error))?;
    Ok(Json(Breakdown {
        covered: Covered::of(&span),
        entries: shares.into_iter().map(Part::from).collect(),
    }))
}

/// The intervals around what was asked for.
fn span(since: Option<Timestamp>, until: Option<Timestamp>, step: Option<Step>) -> Result<Span, Error> {
    let until = until.map_or_else(Utc::now, DateTime::from);
    let since = match since {
        Some(since) => DateTime::from(since),
        None => until.checked_sub_signed(RANGE).unwrap_or(until),
    };
    let length = (until - since).to_std().unwrap_or_default();
    if length.is_zero() {
        return Err(Error::Query("`since` must be before `until`".to_owned()));
    }
    let interval = match step {
        None => Interval::fitting(length),
        Some(Step::Hour) => Interval::Hour,
        Some(Step::Day) => Interval::Day,
        Some(Step::Week) => Interval::Week,
    };
    Ok(Span::around(since, until, interval))
}

impl Covered {
    fn of(span: &Span) -> Self {
        Self {
            since: span.since.into(),
            until: span.until.into(),
            interval: match span.interval {
                Interval::Hour => Step::Hour,
                Interval::Day => Step::Day,
                Interval::Week => Step::Week,
            },
        }
    }
}

impl From<Counted> for Counts {
    fn from(counted: Counted) -> Self {
        let millis = |micros: Option<f64>| micros.map(|micros| micros / 1000.0);
        Self {
            start: None,
            requests: counted.requests,
            errors: counted.errors,
            bytes_in: counted.bytes_in,
            bytes_out: counted.bytes_out,
            p50_ms: millis(counted.p50_us),
            p95_ms: millis(counted.p95_us),
            p99_ms: millis(counted.p99_us),
        }
    }
}

impl From<Point> for Counts {
    fn from(point: Point) -> Self {
        Self {
            start: Some(point.start.into()),
            ..point.counted.into()
        }
    }
}

impl From<Had> for Entry {
    fn from(had: Had) -> Self {
        Self {
            id: had.id,
            name: had.name,
            counts: had.counted.into(),
        }
    }
}

impl From<Share> for Part {
    fn from(Share { value, requests }: Share) -> Self {
        Self { value, requests }
    }
}

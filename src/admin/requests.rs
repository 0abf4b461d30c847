//! `/api/requests`: what became of single requests, the newest first. From the tables alone.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use flexgate_projections::{RequestEntry, RequestFilter};
use flexgate_schemas::{Millis, RouteId, Timestamp};
use http::header;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Shared,
    error::Error,
    operation::{Operation, Resource},
    page::{self, Window},
    params::Query,
    read,
};

const PATH: &str = "/api/requests";
/// How far back is looked unless the caller says.
const RANGE: TimeDelta = TimeDelta::days(1);

/// What can be asked.
pub(super) fn resources() -> [Resource<Shared>; 1] {
    [Resource::at(PATH, "Requests").get(
        list,
        Operation::new("listRequests", "What became of single requests, the newest first")
            .details(
                "From the tables in PostgreSQL, which have a request about a second after it ended, keep it for days, and have a \
                 sample where `logging.sampling` is set. A page ends after some seconds of looking, also before it is full: \
                 `lookedBackTo` says how far it came, and `Link` goes on from there. What comes late is not on pages that were \
                 answered before.",
            )
            .query::<Asked>()
            .answers::<Told>(200, "A page of requests.")
            .with(&["Link"]),
    )]
}

/// Which requests.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asked {
    /// That this route took: its id.
    #[serde(default)]
    route: Option<RouteId>,
    /// That this upstream was to answer: its name, or the URL that the route gives.
    #[serde(default)]
    upstream: Option<String>,
    /// With this status, or one of a class such as `5xx`; `none`: the client went away before there was one.
    #[serde(default)]
    status: Option<String>,
    /// That the gateway itself refused, with this code.
    #[serde(default)]
    refused: Option<String>,
    /// With which this went wrong after the answer had begun, such as `upstream_gone`.
    #[serde(default)]
    error: Option<String>,
    /// With this method.
    #[serde(default)]
    method: Option<String>,
    /// With a path that begins with this.
    #[serde(default)]
    path: Option<String>,
    /// That took at least so long.
    #[serde(default)]
    min_duration: Option<Millis>,
    /// From this address, as far as the settings let it be known.
    #[serde(default)]
    client: Option<String>,
    /// With the API key of this id.
    #[serde(default)]
    key: Option<String>,
    /// With this `X-Correlation-ID`. One that carries its time (a UUID of version 7) is looked for in the hour after that.
    #[serde(default)]
    correlation: Option<String>,
    /// That this node took.
    #[serde(default)]
    node: Option<String>,
    /// That were routed by this revision.
    #[serde(default)]
    revision: Option<u64>,
    /// That arrived not before; 24 hours before `until` unless said.
    #[serde(default)]
    since: Option<Timestamp>,
    /// That arrived before; now unless said.
    #[serde(default)]
    until: Option<Timestamp>,
    /// The most requests to answer with: 50 unless said, 500 at most.
    #[serde(default)]
    limit: Option<u16>,
    /// Where the page begins: taken from the `Link` of the page before.
    #[serde(default)]
    cursor: Option<String>,
}

/// A page.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Requests")]
struct Told {
    /// The newest first.
    requests: Vec<One>,
    /// Everything that arrived from then on, and before the page, was looked at.
    looked_back_to: Timestamp,
}

/// What became of a request.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Request")]
struct One {
    /// Its id, which is also its correlation id where the client gave none.
    id: String,
    /// When it arrived, by the clock of the node.
    timestamp: Timestamp,
    /// The method, as sent.
    method: String,
    /// The host that was asked for, as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    /// The path, as sent; or the pattern of the route, where the settings keep paths out of the log.
    path: String,
    /// The query; absent unless the settings ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    /// What the client was answered; absent: it went away first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<i16>,
    /// The code of the refusal, if the gateway itself answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// What went wrong after the answer had begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// From its arrival to the last byte of the answer, in milliseconds.
    duration_ms: f64,
    /// How much of that passed until the upstream's answer began, in milliseconds; absent if none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upstream_ms: Option<f64>,
    /// Bytes of its body.
    bytes_in: i64,
    /// Bytes of the answer's body.
    bytes_out: i64,
    /// The id of the route that took it; absent if none matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    /// The upstream that was to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
    /// The target that it went to last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// How often it was sent to an upstream.
    attempts: i16,
    /// The id of the API key it came with; never the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The address of the client, as much of it as the settings let be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    /// Its `User-Agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    /// Its `X-Correlation-ID`.
    correlation_id: String,
    /// The id of its trace; absent if the client gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    /// The values of headers and query parameters that some route matches on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    matched: Option<Value>,
    /// The node that took it.
    node: String,
    /// The history of the configuration that it was routed by.
    generation: i64,
    /// The revision that it was routed by.
    revision: i64,
}

async fn list(State(admin): State<Shared>, Query(asked): Query<Asked>) -> Result<Response, Error> {
    let window = Window::of(asked.limit, asked.cursor.as_deref())?;
    let (filter, range) = (asked.filter()?, asked.range()?);
    let page = read::tables(&admin)?
        .requests(&filter, range, window.after, window.limit)
        .await
        .map_err(|error| Error::of_tables(&error))?;
    let link = page.next.map(|next| {
        // As of the first page: `until` would otherwise be another now.
        let (since, until) = range;
        page::link_to(
            PATH,
            &Asked {
                since: Some(since.into()),
                until: Some(until.into()),
                limit: Some(window.limit),
                cursor: Some(next.to_string()),
                ..asked.clone()
            },
        )
    });
    let told = Told {
        requests: page.entries.into_iter().map(One::from).collect(),
        looked_back_to: page.looked_back_to.into(),
    };
    Ok((link.map(|link| [(header::LINK, link)]), Json(told)).into_response())
}

impl Asked {
    fn filter(&self) -> Result<RequestFilter, Error> {
        Ok(RequestFilter {
            route: self.route.as_ref().map(|route| route.as_str().to_owned()),
            upstream: self.upstream.clone(),
            status: self.status.as_deref().map(statuses).transpose()?,
            refused: self.refused.clone(),
            error: self.error.clone(),
            method: self.method.clone(),
            path: self.path.clone(),
            min_duration_us: self.min_duration.map(|span| u64::from(span.get()) * 1000),
            client: self.client.clone(),
            key: self.key.clone(),
            correlation: self.correlation.clone(),
            node: self.node.clone(),
            revision: self.revision,
        })
    }

    fn range(&self) -> Result<(DateTime<Utc>, DateTime<Utc>), Error> {
        let until = self.until.map_or_else(Utc::now, DateTime::from);
        let since = match self.since {
            Some(since) => since.into(),
            None => until.checked_sub_signed(RANGE).unwrap_or(until),
        };
        if since >= until {
            return Err(Error::Query("`since` must be before `until`".to_owned()));
        }
        Ok((since, until))
    }
}

/// The first and the last of the statuses that are meant.
fn statuses(text: &str) -> Result<(i16, i16), Error> {
    let mistaken =
        || Error::Query("`status` is a number such as 404, a class such as 5xx, or none".to_owned());
    if text == "none" {
        return Ok((0, 0));
    }
    let (digits, width) = match text.strip_suffix("xx") {
        Some(class) => (class, 100),
        None => (text, 1),
    };
    let number: i16 = digits.parse().map_err(|_| mistaken())?;
    let first = number
        .checked_mul(width)
        .filter(|first| (100..1000).contains(first));
    first.map(|first| (first, first + width - 1)).ok_or_else(mistaken)
}

impl From<RequestEntry> for One {
    fn from(entry: RequestEntry) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 285 years")]
        let millis = |micros: i64| micros as f64 / 1000.0;
        Self {
            id: entry.id.to_string(),
            timestamp: entry.at.into(),
            method: entry.method,
            host: entry.host,
            path: entry.path,
            query: entry.query,
            status: entry.status,
            refused: entry.refused,
            error: entry.error,
            duration_ms: millis(entry.duration_us),
            upstream_ms: entry.upstream_us.map(millis),
            bytes_in: entry.bytes_in,
            bytes_out: entry.bytes_out,
            route: entry.route,
            upstream: entry.upstream,
            target: entry.target,
            attempts: entry.attempts,
            key: entry.api_key,
            client: entry.client,
            user_agent: entry.user_agent,
            correlation_id: entry.correlation_id,
            trace_id: entry.trace_id,
            matched: entry.matched,
            node: entry.node,
            generation: entry.generation,
            revision: entry.revision,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_one_or_a_class_or_none() {
        for (text, expected) in [
            ("404", Some((404, 404))),
            ("5xx", Some((500, 599))),
            ("none", Some((0, 0))),
            ("0xx", None),
            ("10xx", None),
            ("-5xx", None),
            ("99", None),
            ("400xx", None),
            ("", None),
            ("all", None),
        ] {
            assert_eq!(statuses(text).ok(), expected, "{text}");
        }
    }
}

//! `/api/stream/events`: commits as they happen, as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use flexgate_schemas::{Commit, Event as Happened, event::Entity};
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Shared,
    error::Error,
    operation::{Operation, Resource},
    params::Query,
    place::Place,
};
use crate::journal::{Recorded, View};

/// The most streams at a time; further ones are refused.
pub(super) const STREAMS_MAX: usize = 256;
/// After how long a client comes back when the stream breaks.
const RETRY: Duration = Duration::from_secs(2);
/// The longest silence; proxies and clients take a longer one for an end.
const COMMENT_EVERY: Duration = Duration::from_secs(10);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The one thing that can be done with the stream.
pub(super) fn resources() -> [Resource<Shared>; 1] {
    [Resource::at("/api/stream/events", "Events").get(
        follow,
        Operation::new("streamEvents", "Every commit from now on, or after one that was seen")
            .details(
                "Server-sent events. `connected` says where the stream begins, each `message` is a commit, and the id \
                 of either resumes after it. A commit too large for one message is told with `parts` instead of its events: \
                 `/api/config/diff` has what it changed. `reset` instead of `connected`: the id that was sent is no place in the \
                 present history, so read the configuration anew.",
            )
            .query::<After>()
            .headers(&["Last-Event-ID"])
            .answers_as(200, "An endless stream of events.", "text/event-stream", |_| {
                schemars::json_schema!({ "type": "string" })
            }),
    )]
}

/// Where a stream begins.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct After {
    /// The id of the last event seen, for clients that cannot send `Last-Event-ID`.
    #[serde(default)]
    after: Option<Place>,
}

/// The data of a `message`.
#[derive(Serialize)]
struct Message<'a> {
    generation: u64,
    revision: u64,
    commit: Told<'a>,
}

/// A commit, told as much of as may be known.
#[derive(Serialize)]
#[serde(untagged)]
enum Told<'a> {
    Whole(&'a Commit),
    /// Of one whose events lie in parts, only where and how many they are: there may be a hundred thousand.
    InParts(Box<Commit>),
    WithoutHashes(Value),
}

/// Hashes of secrets are in the log for the nodes that check secrets, and are told to nobody else.
fn told(commit: &Commit) -> Told<'_> {
    if !commit.parts.is_empty() {
        return Told::InParts(commit.without_events().into());
    }
    let is_of_key = |happened: &Happened| matches!(happened.entity(), Entity::Key(_));
    if !commit.events.iter().any(is_of_key) {
        return Told::Whole(commit);
    }
    let mut told = serde_json::to_value(commit).expect("string keys and whole numbers only");
    without_hashes(&mut told["events"]);
    Told::WithoutHashes(told)
}

fn without_hashes(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("sha256");
            fields.remove("passwordHash");
            fields.remove("signing"); // sealed, and nobody's business all the same
            fields.values_mut().for_each(without_hashes);
        }
        Value::Array(items) => items.iter_mut().for_each(without_hashes),
        _ => {}
    }
}

async fn follow(
    State(admin): State<Shared>,
    Query(After { after }): Query<After>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let seen = last_event_id(&headers)?.or(after);
    let slot = admin
        .streams
        .clone()
        .try_acquire_owned()
        .map_err(|_| Error::TooManyStreams)?;
    let (place, greeting) = begin(&admin.journal.view(), seen);
    let commits = admin.journal.follow(place.revision).await.map_err(Error::NoLog)?;
    let stopping = admin.tasks.clone();
    let events = stream::once(std::future::ready(greeting))
        .chain(commits.map(|recorded| message(&recorded)))
        .take_until(async move { stopping.stopping().await })
        .map(move |event| {
            let _until_the_stream_is_dropped = &slot;
            Ok::<_, Infallible>(event)
        });
    let mut response = Sse::new(events)
        .keep_alive(KeepAlive::new().interval(COMMENT_EVERY))
        .into_response();
    response
        .headers_mut()
        .insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Where the stream begins, and the event that says so.
fn begin(view: &View, seen: Option<Place>) -> (Place, Event) {
    let present = Place {
        generation: view.generation(),
        revision: view.revision(),
    };
    let known = |place: &Place| place.generation == present.generation && place.revision <= present.revision;
    let (place, name) = match seen {
        Some(place) if known(&place) => (place, "connected"),
        Some(_) => (present, "reset"),
        None => (present, "connected"),
    };
    (place, event(name, place, &place).retry(RETRY))
}

fn message(recorded: &Recorded) -> Event {
    let (generation, revision) = (recorded.commit.generation, recorded.revision);
    event(
        "message",
        Place { generation, revision },
        &Message {
            generation,
            revision,
            commit: told(&recorded.commit),
        },
    )
}

fn event<T: Serialize>(name: &str, place: Place, data: &T) -> Event {
    let data = serde_json::to_string(data).expect("string keys and whole numbers only");
    Event::default().event(name).id(place.to_string()).data(data)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Place>, Error> {
    let parse = |field: &HeaderValue| {
        let place = field.to_str().ok().and_then(|text| text.parse().ok());
        place.ok_or(Error::Header {
            name: LAST_EVENT_ID,
            expected: "the id of an event: `<generation>-<revision>`",
        })
    };
    headers
        .get(LAST_EVENT_ID)
        .filter(|field| !field.is_empty())
        .map(parse)
        .transpose()
}

//! Tells the outbox what became of a request. Runs at the end of each: it formats nothing and allocates nothing, unless the
//! settings or a strange request make it.

use std::time::{Duration, Instant};

use flexgate_schemas::{
    Outcome,
    recording::{PathPrivacy, Privacy},
};
use http::{HeaderMap, HeaderValue, header, uri::Authority};

use super::{
    address::{self, Room},
    exchange::Exchange,
    trace,
};
use crate::outcomes::outbox::Kept;

/// The most bytes that are recorded of a path, and of a query. What is longer is cut off.
const TARGET_BYTES_MAX: usize = 4096;
/// The most bytes that are recorded of a method, a host and a user agent. What is longer is cut off.
const FIELD_BYTES_MAX: usize = 512;

/// Stands for the path of a request that no route took, where patterns stand for paths.
const UNROUTED: &str = "(unrouted)";

/// What is recorded of the fields of a request. Taken when it arrives, since the fields go on to the upstream; a copy of a
/// field shares its bytes.
#[derive(Debug)]
pub(super) struct Notes {
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    /// Whether the correlation id is the client's.
    is_correlated: bool,
    /// The client's.
    traceparent: Option<HeaderValue>,
    /// See [`Outcome::matched`].
    matched: Option<Box<str>>,
}

impl Notes {
    /// Takes them. The two flags say whether correlation id and trace are the client's.
    pub(super) fn take(
        exchange: &Exchange,
        headers: &HeaderMap,
        is_correlated: bool,
        is_traced: bool,
    ) -> Self {
        Self {
            host: headers.get(header::HOST).cloned(),
            user_agent: headers.get(header::USER_AGENT).cloned(),
            is_correlated,
            traceparent: is_traced
                .then(|| headers.get(trace::TRACEPARENT).cloned())
                .flatten(),
            matched: exchange.snapshot.matched.of(headers, exchange.uri.query()),
        }
    }
}

/// A request is over.
pub(super) fn record(exchange: &Exchange, now: Instant) {
    let client = &exchange.client;
    let (Some(writer), Some(notes)) = (&client.core.writer, &exchange.notes) else {
        return;
    };
    let settings = &exchange.snapshot.settings;
    let privacy = &settings.privacy;
    let route = exchange.route.get();
    let target = exchange.target.get();
    let user_agent = notes.user_agent.as_ref().map(|value| {
        let bytes = value.as_bytes();
        String::from_utf8_lossy(&bytes[..bytes.len().min(FIELD_BYTES_MAX)])
    });
    let mut room = Room::default();
    let outcome = Outcome {
        counter: 0, // the writer counts
        arrival: exchange.arrival.number,
        at: exchange.arrival.at,
        generation: exchange.snapshot.generation,
        revision: exchange.snapshot.revision,
        route: route.map(|route| route.route.id.as_str()),
        upstream: route.map(|route| route.destination.name()),
        target: target.map(|target| &*target.origin.place),
        method: cut(exchange.method.as_str(), FIELD_BYTES_MAX),
        host: host(exchange, notes),
        path: path(exchange, privacy),
        query: query(exchange, privacy),
        status: exchange.status.get().map(|status| status.as_u16()),
        refused: exchange.refusal.get(),
        error: exchange.error(),
        attempts: exchange.attempts.get(),
        micros: micros(now.saturating_duration_since(exchange.arrival.moment)),
        upstream_micros: exchange.upstream_time.get().map(micros),
        bytes_in: exchange.bytes_in(),
        bytes_out: exchange.bytes_out(),
        key: None, // nobody has one yet
        client: address::recorded(exchange, privacy.client_address, &mut room),
        user_agent: user_agent.as_deref(),
        correlation: exchange.correlation.to_str().ok().filter(|_| notes.is_correlated),
        trace: traceparent(notes).and_then(trace::trace_id),
        matched: notes.matched.as_deref(),
    };
    let keeps = settings.logging.sampling.keeps(&outcome, || exchange.arrival.id);
    let kept = if keeps { Kept::Row } else { Kept::Counted };
    writer.borrow_mut().append(&outcome, kept);
}

/// The host that the client asked for: an authority in the target beats the field (RFC 9112 3.2.2). A name and a password
/// before an `@` have no place in either, and none here.
fn host<'e>(exchange: &'e Exchange, notes: &'e Notes) -> Option<&'e str> {
    let authority = exchange.uri.authority().map(Authority::as_str);
    let field = || notes.host.as_ref()?.to_str().ok();
    let host = authority.or_else(field)?;
    let bare = host.rsplit_once('@').map_or(host, |(_, bare)| bare);
    Some(cut(bare, FIELD_BYTES_MAX))
}

fn path<'e>(exchange: &'e Exchange, privacy: &Privacy) -> &'e str {
    match privacy.path {
        PathPrivacy::Full => cut(exchange.uri.path(), TARGET_BYTES_MAX),
        PathPrivacy::Template => exchange.route.get().map_or(UNROUTED, |route| &route.pattern),
    }
}

fn query<'e>(exchange: &'e Exchange, privacy: &Privacy) -> Option<&'e str> {
    let asked_for = privacy.query && privacy.path == PathPrivacy::Full;
    let query = asked_for.then(|| exchange.uri.query()).flatten();
    query.map(|query| cut(query, TARGET_BYTES_MAX))
}

fn traceparent(notes: &Notes) -> Option<&str> {
    notes.traceparent.as_ref()?.to_str().ok()
}

/// The beginning of a text, up to so many bytes, in whole characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

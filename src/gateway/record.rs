//! Tells the outbox what became of a request. Runs at the end of each: it formats nothing and allocates nothing, unless the
//! settings or a strange request make it.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use flexgate_schemas::{
    Outcome,
    recording::{PathPrivacy, Privacy},
};
use http::{HeaderMap, HeaderValue};

use super::{
    address::{self, Room},
    caller::Caller,
    exchange::Exchange,
    look::{Field, Look},
    trace,
};
use crate::outcomes::outbox::Kept;

/// Stands for the path of a request that no route took, where patterns stand for paths.
const UNROUTED: &str = "(unrouted)";

/// What is recorded of the fields of a request. Taken when it arrives, since the fields go on to the upstream; a copy of a
/// field shares its bytes.
#[derive(Debug, Default)]
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
    /// Looks at the fields and takes what is recorded of them: of several lines the first.
    pub(super) fn looking_at(headers: &HeaderMap) -> (Look, Self) {
        let mut notes = Self::default();
        let look = Look::showing(headers, |field, value| {
            let note = match field {
                Field::Host => &mut notes.host,
                Field::UserAgent => &mut notes.user_agent,
                _ => return,
            };
            if note.is_none() {
                *note = Some(value.clone());
            }
        });
        (look, notes)
    }

    /// Takes the rest. The two flags say whether correlation id and trace are the client's.
    pub(super) fn complete(
        self,
        exchange: &Exchange,
        headers: &HeaderMap,
        is_correlated: bool,
        is_traced: bool,
    ) -> Self {
        Self {
            is_correlated,
            traceparent: is_traced
                .then(|| headers.get(trace::TRACEPARENT).cloned())
                .flatten(),
            matched: exchange.snapshot.matched.of(
                headers,
                exchange.uri.query(),
                exchange.snapshot.settings.auth.header(),
            ),
            ..self
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
    let (host, user_agent) = (host(exchange, notes), notes.user_agent.as_ref().map(text));
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
        method: exchange.method.as_str(),
        host: host.as_deref().map(|host| match route {
            Some(_) => host, // routes take requests for a name or an address alone
            None => without_credentials(host),
        }),
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
        key: exchange.caller.get().map(Caller::name),
        client: address::recorded(exchange, privacy.client_address, &mut room),
        user_agent: user_agent.as_deref(),
        correlation: correlation(exchange, notes),
        trace: traceparent(notes).and_then(trace::trace_id),
        matched: notes.matched.as_deref(),
    };
    let keeps = settings.logging.sampling.keeps(&outcome, || exchange.arrival.id);
    let kept = if keeps { Kept::Row } else { Kept::Counted };
    writer.borrow_mut().append(&outcome, kept);
}

/// The host that the client asked for: an authority in the target beats the field (RFC 9112 3.2.2).
fn host<'e>(exchange: &'e Exchange, notes: &'e Notes) -> Option<Cow<'e, str>> {
    match exchange.uri.authority() {
        Some(authority) => Some(Cow::Borrowed(authority.as_str())),
        None => notes.host.as_ref().map(text),
    }
}

/// Without the name and the password that may stand before an `@`, although neither has a place in a request.
fn without_credentials(host: &str) -> &str {
    host.rsplit_once('@').map_or(host, |(_, bare)| bare)
}

/// What is no text in a field becomes replacement characters. Asked first whether there is any such thing, which is a sixth of
/// the work of looking for it.
fn text(value: &HeaderValue) -> Cow<'_, str> {
    match str::from_utf8(value.as_bytes()) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(value.as_bytes()),
    }
}

fn path<'e>(exchange: &'e Exchange, privacy: &Privacy) -> &'e str {
    match privacy.path {
        PathPrivacy::Full => exchange.uri.path(),
        PathPrivacy::Template => exchange.route.get().map_or(UNROUTED, |route| &route.pattern),
    }
}

fn query<'e>(exchange: &'e Exchange, privacy: &Privacy) -> Option<&'e str> {
    let asked_for = privacy.query && privacy.path == PathPrivacy::Full;
    asked_for.then(|| exchange.uri.query()).flatten()
}

/// The client's.
fn correlation<'e>(exchange: &'e Exchange, notes: &Notes) -> Option<&'e str> {
    let text = || exchange.correlation.to_str().ok();
    notes.is_correlated.then(text).flatten()
}

fn traceparent(notes: &Notes) -> Option<&str> {
    notes.traceparent.as_ref()?.to_str().ok()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

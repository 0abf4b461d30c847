//! One request and what becomes of it; and the stages it goes through, each a type.

use std::{
    cell::{Cell, OnceCell},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use flexgate_schemas::{
    Limits,
    outcome::{BODY_TOO_LARGE, CLIENT_GONE, CLIENT_STALLED, GATEWAY_GONE, UPSTREAM_GONE, UPSTREAM_STALLED},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};

use super::{
    caller::Caller,
    client::Client,
    compiled::{CompiledRoute, CompiledTarget, CompiledUpstream},
    edits::Changes,
    ids::Arrival,
    look::Look,
    rate_fields::Told,
    rate_limit::CompiledLimits,
    record::Notes,
    request_body::Source,
    signature::Digest,
    snapshot::Held,
    strand::Strand,
};

/// What is known of a request from its arrival to its last byte. Made once per request and shared by everything that
/// works on it, so that whoever watches it sees the whole story, also of a request that is given up half-way.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) client: Rc<Client>,
    /// The task that it runs in.
    pub(super) strand: Rc<Strand>,
    /// What it is routed by, whatever is published meanwhile.
    pub(super) snapshot: Held,
    pub(super) arrival: Arrival,
    pub(super) correlation: HeaderValue,
    pub(super) method: Method,
    pub(super) uri: Uri,
    /// The version of HTTP that it came in.
    pub(super) version: Version,
    /// Whether it is a call of gRPC.
    pub(super) is_call: bool,
    /// Who sent it, as far as trusted proxies can tell.
    pub(super) client_address: IpAddr,
    /// What is recorded of its fields, if anything is.
    pub(super) notes: Option<Notes>,
    /// The route that took it.
    pub(super) route: OnceCell<Arc<CompiledRoute>>,
    /// How much its key lets pass, if that is limited.
    pub(super) key_limits: OnceCell<Rc<CompiledLimits>>,
    /// Where the limits stand that it is under, once they were asked.
    pub(super) limited: OnceCell<Told>,
    /// Who sent it, as soon as that is proved; also of a request that is refused all the same.
    pub(super) caller: OnceCell<Caller>,
    /// Where it went last.
    pub(super) target: OnceCell<Arc<CompiledTarget>>,
    /// How often it was sent.
    pub(super) attempts: Cell<u32>,
    /// How long the upstream took until its response began, connecting included.
    pub(super) upstream_time: Cell<Option<Duration>>,
    /// What the client was answered.
    pub(super) status: Cell<Option<StatusCode>>,
    /// The code of the refusal, when the gateway itself decided.
    pub(super) refusal: Cell<Option<&'static str>>,
    /// How the response ended, as far as it got.
    pub(super) ending: Cell<Ending>,
    /// How the body of the request gets on.
    pub(super) upload: Cell<Upload>,
    /// Whether a piece of it was passed on since somebody looked last.
    pub(super) upload_moved: Cell<bool>,
    /// What the body must come to, if it was signed: taken by the first who reads it.
    pub(super) body_digest: Cell<Option<Digest>>,
    /// The longest body that is taken.
    pub(super) body_max: Cell<u64>,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
}

/// How the body of a request gets on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upload {
    /// The upstream takes it, or was not asked to yet.
    Moving,
    /// The upstream would take more, the client does not send it.
    AwaitsClient,
    /// What the client sent is not a body.
    Broken,
    /// It is longer than may be.
    TooLarge,
    /// It is not the one that was signed.
    Forged,
    /// Through, or there was none.
    Over,
}

/// How a response ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It did not: whoever waited for it is gone, if it stays so.
    Open,
    /// The connection to the upstream broke.
    BrokenOff,
    /// It did not go on, and was broken off.
    Stalled,
    /// With its last byte.
    Whole,
}

impl Exchange {
    /// A request of which nothing is known but its head.
    pub(super) fn new(
        (client, strand): (Rc<Client>, Rc<Strand>),
        arrival: Arrival,
        correlation: HeaderValue,
        (method, uri, version): (Method, Uri, Version),
    ) -> Self {
        Self {
            snapshot: client.core.snapshot(),
            client_address: client.address,
            client,
            strand,
            arrival,
            correlation,
            method,
            uri,
            version,
            is_call: false,
            notes: None,
            route: OnceCell::new(),
            key_limits: OnceCell::new(),
            limited: OnceCell::new(),
            caller: OnceCell::new(),
            target: OnceCell::new(),
            attempts: Cell::new(0),
            upstream_time: Cell::new(None),
            status: Cell::new(None),
            refusal: Cell::new(None),
            ending: Cell::new(Ending::Open),
            upload: Cell::new(Upload::Moving),
            upload_moved: Cell::new(false),
            body_digest: Cell::new(None),
            body_max: Cell::new(u64::MAX),
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
        }
    }

    /// So many bytes of the request's body were passed on.
    pub(super) fn count_in(&self, bytes: usize) {
        self.bytes_in.set(self.bytes_in.get() + bytes as u64);
    }

    /// So many bytes of the response's body were passed on.
    pub(super) fn count_out(&self, bytes: usize) {
        self.bytes_out.set(self.bytes_out.get() + bytes as u64);
    }

    /// How many bytes of the request's body were passed on.
    pub(super) fn bytes_in(&self) -> u64 {
        self.bytes_in.get()
    }

    /// How many bytes of the response's body were passed on.
    pub(super) fn bytes_out(&self) -> u64 {
        self.bytes_out.get()
    }

    /// How long an answer that has begun may pause: for what the upstream sends, or for what the client still owes it.
    pub(super) fn pause_max(&self) -> Duration {
        match self.upload.get() {
            Upload::AwaitsClient => self.upload_pause_max(),
            _ => self.stream_pause_max(),
        }
    }

    /// How long the upstream may pause within its body.
    pub(super) fn stream_pause_max(&self) -> Duration {
        let limits = &self.snapshot.settings.limits;
        limits.stream_timeout.unwrap_or(Limits::STREAM_TIMEOUT).duration()
    }

    /// How long the client may pause within its body.
    pub(super) fn upload_pause_max(&self) -> Duration {
        let limits = &self.snapshot.settings.limits;
        limits.body_timeout.unwrap_or(Limits::BODY_TIMEOUT).duration()
    }

    /// Who is to blame for an answer that is not whole when the request is over.
    pub(super) fn error(&self) -> Option<&'static str> {
        match self.ending.get() {
            Ending::Whole => None,
            Ending::BrokenOff => Some(match self.upload.get() {
                Upload::Broken | Upload::Forged => CLIENT_GONE, // which took the line along
                Upload::TooLarge => BODY_TOO_LARGE,
                _ => UPSTREAM_GONE,
            }),
            Ending::Stalled if self.upload.get() == Upload::AwaitsClient => Some(CLIENT_STALLED),
            Ending::Stalled => Some(UPSTREAM_STALLED),
            Ending::Open if self.client.is_stuck() => Some(CLIENT_STALLED),
            Ending::Open if self.client.core.is_over() => Some(GATEWAY_GONE),
            Ending::Open => Some(CLIENT_GONE),
        }
    }

    /// Writes the whole story down, for whoever looks for one request.
    pub(super) fn log(&self, now: Instant) {
        tracing::debug!(
            correlation_id = ?self.correlation,
            revision = self.snapshot.revision,
            client = %self.client_address,
            method = %self.method,
            path = self.uri.path(),
            route = self.route.get().map(|route| route.route.id.as_str()),
            caller = self.caller.get().map(Caller::name),
            target = self.target.get().map(|target| &*target.origin.host),
            status = self.status.get().map(|status| status.as_u16()),
            refusal = self.refusal.get(),
            error = self.error(),
            attempts = self.attempts.get(),
            bytes_in = self.bytes_in.get(),
            bytes_out = self.bytes_out.get(),
            upstream_time = ?self.upstream_time.get(),
            time = ?now.saturating_duration_since(self.arrival.moment),
            "a request is over"
        );
    }
}

/// A request that has a correlation id and is watched; nothing is decided yet.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) exchange: Rc<Exchange>,
    pub(super) headers: HeaderMap,
    /// What is among the headers, as they came.
    pub(super) look: Look,
    pub(super) body: Source,
}

/// A request that a route took.
#[derive(Debug)]
pub(super) struct Routed {
    pub(super) arrived: Arrived,
    pub(super) route: Arc<CompiledRoute>,
    /// What to ask the upstream for, without the base path of the target.
    pub(super) path: Forwarded,
    /// And with which query; empty: none.
    pub(super) query: Forwarded,
    /// What is done to its fields on the way.
    pub(super) changes: Changes,
}

/// A part of the target that is forwarded.
#[derive(Debug)]
pub(super) enum Forwarded {
    /// Exactly what the client sent.
    AsSent,
    /// This instead.
    Changed(Box<str>),
}

/// A request whose target was chosen.
#[derive(Debug)]
pub(super) struct Targeted {
    pub(super) request: Routed,
    pub(super) upstream: Arc<CompiledUpstream>,
    pub(super) target: Arc<CompiledTarget>,
}

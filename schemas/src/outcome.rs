//! Outcomes: what became of one request.

use serde::{Deserialize, Serialize};

use crate::Sketch;

/// What became of one request. Never has a body or a credential; a query string only when the settings ask for it.
///
/// Borrowed, since it exists a hundred thousand times a second: from the outbox on its way out, from a frame on its way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome<'a> {
    /// Its number: outcomes of one core of one boot of a node are counted from 0, in the order in which they ended.
    pub counter: u64,
    /// The number of its arrival on that core, of which its id is made (see [`crate::IdKey`]).
    pub arrival: u64,
    /// When it arrived, in microseconds since 1970, by the node's clock.
    pub at: i64,
    /// The history it was routed by; 0 before there was one.
    pub generation: u64,
    /// The revision it was routed by.
    pub revision: u64,
    /// The id of the route that took it, if one did.
    pub route: Option<&'a str>,
    /// The upstream that was to answer: its name, or the URL that the route gives.
    pub upstream: Option<&'a str>,
    /// The target that it went to last, as `host:port`.
    pub target: Option<&'a str>,
    /// The method, as sent.
    pub method: &'a str,
    /// The host that was asked for, as sent.
    pub host: Option<&'a str>,
    /// The path, as sent; or the pattern of the route, where the settings keep paths out of the log.
    pub path: &'a str,
    /// The query, without its `?`; only where the settings ask for it.
    pub query: Option<&'a str>,
    /// What the client was answered; none if it went away first.
    pub status: Option<u16>,
    /// The code of the refusal, if the gateway itself answered.
    pub refused: Option<&'a str>,
    /// Why the answer is not whole, if it is not: [`CLIENT_GONE`], [`CLIENT_STALLED`], [`BODY_TOO_LARGE`],
    /// [`UPSTREAM_GONE`],     /// [`UPSTREAM_STALLED`] or [`GATEWAY_GONE`].
    pub error: Option<&'a str>,
    /// How often it was sent to an upstream.
    pub attempts: u32,
    /// From its arrival to the last byte of the answer, in microseconds.
    pub micros: u64,
    /// How much of that passed until the upstream's answer began, in microseconds; none if none did.
    pub upstream_micros: Option<u64>,
    /// Bytes of its body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// The id of the API key it came with.
    pub key: Option<&'a str>,
    /// Who sent it, as much as the settings let be known.
    pub client: Option<&'a str>,
    /// Its `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// Its `X-Correlation-ID`, if the client gave one; else it is the id.
    pub correlation: Option<&'a str>,
    /// The id of its trace, if the client gave one; else it is the id.
    pub trace: Option<&'a str>,
    /// The values of the headers and query parameters that some route matches on, as a JSON object such as
    /// `{"header": {"x-a": "1"}, "query": {"v": ["1", "2"]}}`: a list where there are several, and nothing that is empty.
    pub matched: Option<&'a str>,
}

/// [`Outcome::error`]: the client went away before it had all of the answer.
pub const CLIENT_GONE: &str = "client_gone";
/// [`Outcome::error`]: the upstream broke off before it had sent all of the answer.
pub const UPSTREAM_GONE: &str = "upstream_gone";
/// [`Outcome::error`]: the client took nothing of the answer, or sent nothing of the body that it still owed, for too long.
pub const CLIENT_STALLED: &str = "client_stalled";
/// [`Outcome::error`]: the body became longer than may be when the answer had already begun.
pub const BODY_TOO_LARGE: &str = "body_too_large";
/// [`Outcome::error`]: the upstream sent nothing for too long before it had sent all of the answer.
pub const UPSTREAM_STALLED: &str = "upstream_stalled";
/// [`Outcome::error`]: the gateway ended before it had sent all of the answer; it had waited for as long as it was told to.
pub const GATEWAY_GONE: &str = "gateway_gone";

impl Outcome<'_> {
    /// Whether it counts as an error of ours or of an upstream: a status from 500 on, or an answer that broke off. What a
    /// client does wrong, and that it goes away, does not.
    pub fn is_error(&self) -> bool {
        self.status.is_some_and(|status| status >= 500)
            || matches!(self.error, Some(UPSTREAM_GONE | UPSTREAM_STALLED | GATEWAY_GONE))
    }

    /// The first digit of the status; 0 if the client went away before there was one.
    pub fn status_class(&self) -> u8 {
        self.status
            .map_or(0, |status| u8::try_from(status / 100).unwrap_or(9).min(9))
    }

    /// The hour that it counts in: hours since 1970 at its arrival.
    pub fn hour(&self) -> i64 {
        self.at.div_euclid(MICROS_PER_HOUR)
    }
}

/// Microseconds in an hour.
pub const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// Outcomes that are counted but have no row of their own, since only a sample is kept: as much of them as the rollups need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeftOut {
    /// See [`Outcome::hour`].
    pub hour: i64,
    /// See [`Outcome::route`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// See [`Outcome::upstream`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// See [`Outcome::status_class`].
    pub status_class: u8,
    /// See [`Outcome::refused`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// See [`Outcome::key`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How many.
    pub requests: u64,
    /// How many of them were errors (see [`Outcome::is_error`]).
    pub errors: u64,
    /// Bytes of their bodies.
    pub bytes_in: u64,
    /// Bytes of the answers' bodies.
    pub bytes_out: u64,
    /// [`Outcome::micros`] of each.
    pub latency: Sketch,
    /// [`Outcome::upstream_micros`] of each that has them.
    pub upstream_latency: Sketch,
}

impl LeftOut {
    /// Nothing counted yet, where this outcome belongs.
    pub fn beside(outcome: &Outcome<'_>) -> Self {
        Self {
            hour: outcome.hour(),
            route: outcome.route.map(str::to_owned),
            upstream: outcome.upstream.map(str::to_owned),
            status_class: outcome.status_class(),
            refused: outcome.refused.map(str::to_owned),
            key: outcome.key.map(str::to_owned),
            requests: 0,
            errors: 0,
            bytes_in: 0,
            bytes_out: 0,
            latency: Sketch::default(),
            upstream_latency: Sketch::default(),
        }
    }

    /// Counts an outcome.
    pub fn add(&mut self, outcome: &Outcome<'_>) {
        self.requests += 1;
        self.errors += u64::from(outcome.is_error());
        self.bytes_in = self.bytes_in.saturating_add(outcome.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(outcome.bytes_out);
        self.latency.record(outcome.micros);
        if let Some(micros) = outcome.upstream_micros {
            self.upstream_latency.record(micros);
        }
    }
}

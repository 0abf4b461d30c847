//! What responses say of limits: draft-ietf-httpapi-ratelimit-headers-11, and what was there before it.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{exchange::Exchange, rate_limit::CompiledLimit};
use crate::limiter::Standing;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STANDING: HeaderName = HeaderName::from_static("ratelimit");
const LEGACY: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];
/// The bytes of one limit's standing, as a rule.
const STANDING_BYTES: usize = 40;

/// Where the limits that a request is under stand, in the order in which they were asked.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// As `RateLimit` has it.
    text: BytesMut,
    count: usize,
    /// Of the limit that is nearest to its end: how many it takes, how many are left, and in how many seconds all are.
    tightest: Option<[u64; 3]>,
}

impl Told {
    /// How many limits have been asked.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// What one of them said.
    pub(super) fn note(&mut self, limit: &CompiledLimit, standing: Standing) {
        let comma = if self.text.is_empty() { "" } else { ", " };
        self.text.reserve(STANDING_BYTES);
        let full = standing.full.div_ceil(1_000_000);
        let remaining = standing.remaining;
        let _written = write!(self.text, "{comma}\"{}\";r={remaining};t={full}", limit.name);
        self.count += 1;
        if self.tightest.is_none_or(|[_, least, _]| remaining < least) {
            self.tightest = Some([limit.requests, remaining, full]);
        }
    }

    /// Keeps it for the response, whoever makes it.
    pub(super) fn keep(self, exchange: &Exchange) {
        drop(exchange.limited.set(self)); // asked once
    }
}

/// Writes it. What an upstream says of limits of its own is not what holds for clients of ours.
pub(super) fn describe(exchange: &Exchange, headers: &mut HeaderMap) {
    let Some(told) = exchange.limited.get() else {
        return;
    };
    let fields = &exchange.snapshot.settings.rate_limit_fields;
    if fields.standard {
        headers.remove(POLICY);
        for limits in exchange.limits() {
            headers.append(POLICY, limits.policy.clone());
        }
        // Names are tokens, the rest are numbers.
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&told.text)) {
            headers.insert(STANDING, value);
        }
    }
    if fields.legacy
        && let Some([limit, remaining, full]) = told.tightest
    {
        // Which second it is was noted when the request came.
        let second = u64::try_from(exchange.arrival.at).unwrap_or_default() / 1_000_000;
        for (name, number) in LEGACY.iter().zip([limit, remaining, second + full]) {
            headers.insert(name, number.into());
        }
    }
}

//! What responses say of limits: draft-ietf-httpapi-ratelimit-headers-11, and what was there before it.

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
/// The bytes of one limit's standing beside its name: those between its parts, and two numbers of 64 bits.
const AROUND_NAME_BYTES: usize = 9 + 2 * 20;

/// Where the limits that a request is under stand, in the order in which they were asked.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// As `RateLimit` has it.
    text: Vec<u8>,
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
        let full = standing.full.div_ceil(1_000_000);
        let remaining = standing.remaining;
        self.text.reserve(limit.name.len() + AROUND_NAME_BYTES);
        let comma: &[u8] = if self.text.is_empty() { b"\"" } else { b", \"" };
        let [remaining_text, full_text] = &mut [itoa::Buffer::new(), itoa::Buffer::new()];
        // Formatting by the standard library took some 500 instructions more, for every request.
        for part in [
            comma,
            limit.name.as_bytes(),
            b"\";r=",
            remaining_text.format(remaining).as_bytes(),
            b";t=",
            full_text.format(full).as_bytes(),
        ] {
            self.text.extend_from_slice(part);
        }
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
        let mut limits = exchange.limits();
        if let Some(first) = limits.next() {
            headers.insert(POLICY, first.policy.clone());
        }
        for further in limits {
            headers.append(POLICY, further.policy.clone());
        }
        // Names are tokens, the rest are numbers.
        if let Ok(value) = HeaderValue::from_bytes(&told.text) {
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

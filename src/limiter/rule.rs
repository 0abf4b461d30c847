//! What a limit comes down to: three ways to count, in whole numbers.

use std::time::Duration;

use flexgate_schemas::{
    RateLimit,
    rate_limit::{Algorithm, OnRedisFailure},
};

use super::{bucket, period, window};

/// How requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A token bucket.
    Bucket(bucket::Rule),
    /// A sliding window.
    Window(window::Rule),
    /// A span of the calendar.
    Period(period::Rule),
}

/// A limit, as far as budgets have to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Terms {
    /// How it counts.
    pub rule: Rule,
    /// Whether Redis is asked about each request.
    pub strict: bool,
    /// What happens without Redis.
    pub without_redis: OnRedisFailure,
}

impl Rule {
    /// The most tokens there are at once.
    pub fn max(&self) -> u64 {
        match self {
            Self::Bucket(rule) => rule.burst,
            Self::Window(rule) => rule.max,
            Self::Period(rule) => rule.max,
        }
    }

    /// About how long it takes until all of it is there again, in microseconds.
    pub fn span(&self) -> u64 {
        match self {
            Self::Bucket(rule) => rule.micros(rule.full_debt()),
            Self::Window(rule) => rule.slot * window::SLOTS,
            Self::Period(rule) => rule.unit.seconds() * 1_000_000,
        }
    }
}

impl Terms {
    /// What a limit says.
    pub fn of(limit: &RateLimit) -> Self {
        let window = micros(limit.window.duration());
        let requests = limit.requests.get().into();
        Self {
            rule: match limit.algorithm {
                Algorithm::TokenBucket => {
                    Rule::Bucket(bucket::Rule::new(requests, window, limit.burst().get().into()))
                }
                Algorithm::SlidingWindow => Rule::Window(window::Rule::new(requests, window)),
            },
            strict: limit.strict,
            without_redis: limit.on_redis_failure,
        }
    }

    /// So many in each span of the calendar. Nodes share what is left of it while Redis is away: a month is too long for
    /// any other answer.
    pub fn quota(max: u64, unit: period::Unit) -> Self {
        Self {
            rule: Rule::Period(period::Rule { max, unit }),
            strict: false,
            without_redis: OnRedisFailure::LocalShare,
        }
    }
}

/// A span in microseconds.
pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

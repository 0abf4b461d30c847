//! Protection that a route asks for and this build does not give. Such a route fails closed: nobody passes.

use std::fmt;

use flexgate_schemas::{ApiKey, Route, Settings, key::Quotas};

/// Something without which a request must not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protection {
    /// The route's `rateLimit`.
    RateLimit,
    /// The `rateLimit` of the settings.
    GlobalRateLimit,
    /// The `rateLimit` of the key that a request comes with.
    KeyRateLimit,
    /// Its `quotas`.
    KeyQuotas,
}

impl fmt::Display for Protection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::RateLimit => "`rateLimit`",
            Self::GlobalRateLimit => "the global `rateLimit`",
            Self::KeyRateLimit => "the key's `rateLimit`",
            Self::KeyQuotas => "the key's `quotas`",
        })
    }
}

/// The first protection that this route asks for and does not get, if there is one. The gateway refuses its requests,
/// the decider warns of it.
pub fn unmet_protection(route: &Route, settings: &Settings) -> Option<Protection> {
    if route.rate_limit.is_some() {
        Some(Protection::RateLimit)
    } else if settings.rate_limit.is_some() {
        Some(Protection::GlobalRateLimit)
    } else {
        None
    }
}

/// The same for the requests of a key.
pub fn unmet_key_protection(key: &ApiKey) -> Option<Protection> {
    let own = key.particulars();
    if own.rate_limit.is_some() {
        Some(Protection::KeyRateLimit)
    } else if own.quotas != Quotas::default() {
        Some(Protection::KeyQuotas)
    } else {
        None
    }
}

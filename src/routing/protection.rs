//! Protection that a route asks for and this build does not give. Such a route fails closed: nobody passes.

use std::fmt;

use flexgate_schemas::{Route, Settings, policy::Auth};

/// Something without which a request must not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protection {
    /// The route's `auth`, required or optional: a credential would have to be checked.
    Auth,
    /// The route's `rateLimit`.
    RateLimit,
    /// The `rateLimit` of the settings.
    GlobalRateLimit,
}

impl fmt::Display for Protection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Auth => "`auth`",
            Self::RateLimit => "`rateLimit`",
            Self::GlobalRateLimit => "the global `rateLimit`",
        })
    }
}

/// The first protection that this route asks for and does not get, if there is one. The gateway refuses its requests,
/// the decider warns of it.
pub fn unmet_protection(route: &Route, settings: &Settings) -> Option<Protection> {
    if route.auth != Auth::None {
        Some(Protection::Auth)
    } else if route.rate_limit.is_some() {
        Some(Protection::RateLimit)
    } else if settings.rate_limit.is_some() {
        Some(Protection::GlobalRateLimit)
    } else {
        None
    }
}

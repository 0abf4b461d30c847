//! Protection that a route asks for and this build does not give. Such a route fails closed: nobody passes.

use std::fmt;

use flexgate_schemas::{Route, policy::Auth};

/// Something without which a request must not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protection {
    /// The route's `auth`, required or optional: a credential would have to be checked.
    Auth,
}

impl fmt::Display for Protection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Auth => "`auth`",
        })
    }
}

/// The first protection that this route asks for and does not get, if there is one. The gateway refuses its requests,
/// the decider warns of it.
pub fn unmet_protection(route: &Route) -> Option<Protection> {
    (route.auth != Auth::None).then_some(Protection::Auth)
}

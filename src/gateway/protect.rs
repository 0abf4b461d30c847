//! Protection that a route asks for and this gateway does not give: nobody passes.

use super::{ask::Answer, exchange::Routed, refusal::Refusal};
use crate::routing::unmet_protection;

/// Fails closed.
pub(super) fn protect(request: Routed) -> Answer<Routed> {
    Answer::Now(match unmet_protection(&request.route.route) {
        None => Ok(request),
        Some(protection) => Err(Refusal::Unprotected(protection)),
    })
}

//! Protection that a route asks for and this gateway does not give: nobody passes.

use super::{ask::Answer, exchange::Routed, refusal::Refusal};
use crate::routing::unmet_protection;

/// Fails closed.
pub(super) fn protect(request: Routed) -> Answer<Routed> {
    let settings = &request.arrived.exchange.snapshot.settings;
    Answer::Now(match unmet_protection(&request.route.route, settings) {
        None => Ok(request),
        Some(protection) => Err(Refusal::Unprotected(protection)),
    })
}

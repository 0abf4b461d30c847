//! Protection that a route asks for and this gateway does not give: nobody passes.

use super::{exchange::Routed, refusal::Refusal};
use crate::routing::unmet_protection;

/// Fails closed.
pub(super) fn protect(request: Routed) -> Result<Routed, Refusal> {
    let settings = &request.arrived.exchange.snapshot.settings;
    match unmet_protection(&request.route.route, settings) {
        None => Ok(request),
        Some(protection) => Err(Refusal::Unprotected(protection)),
    }
}

//! Protection that a route or a key asks for and this gateway does not give: nobody passes.

use super::{ask::Answer, exchange::Routed, refusal::Refusal};
use crate::routing::{unmet_key_protection, unmet_protection};

/// Fails closed.
pub(super) fn protect(request: Routed) -> Answer<Routed> {
    let exchange = &request.arrived.exchange;
    let of_key = || exchange.limited_key().and_then(unmet_key_protection);
    Answer::Now(
        match unmet_protection(&request.route.route, &exchange.snapshot.settings).or_else(of_key) {
            None => Ok(request),
            Some(protection) => Err(Refusal::Unprotected(protection)),
        },
    )
}

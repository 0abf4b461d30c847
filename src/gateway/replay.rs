//! A signature is good for one request: who has seen one cannot send it again.

use flexgate_schemas::auth::OnRedisFailure;
use futures_util::FutureExt;

use super::{
    authenticate::{Denied, Ruling},
    exchange::Exchange,
    refusal::Refusal,
    signature::Claimed,
};
use crate::limiter::{Came, Known};

/// Lets a genuine signature pass once. It is used from now on, whatever else becomes of the request.
pub(super) fn once(exchange: &Exchange, claimed: &Claimed) -> Ruling {
    let now = u64::try_from(exchange.arrival.at / 1_000_000).unwrap_or_default();
    let policy = exchange.snapshot.settings.auth.on_redis_failure;
    match exchange.snapshot.limiter.first(claimed.mark(), now) {
        Known::Now(came) => verdict(came, policy).map_or_else(Ruling::Refused, |()| Ruling::Passes),
        Known::Later(question) => {
            let verdict = question.answered().map(move |came| verdict(came, policy));
            Ruling::Depends(verdict.boxed_local())
        }
    }
}

/// What follows from how often it has come.
fn verdict(came: Came, policy: OnRedisFailure) -> Result<(), Refusal> {
    match (came, policy) {
        (Came::First, _) | (Came::FirstHere, OnRedisFailure::Local) => Ok(()),
        (Came::Again, _) => Err(Refusal::Denied(Denied::Replayed)),
        (Came::FirstHere, OnRedisFailure::Closed) | (Came::Unknown, _) => Err(Refusal::ReplayUnknown),
    }
}

//! How much a request may be.

use flexgate_schemas::{Limits, limits::HeadSize};
use http::HeaderName;

use super::{
    arrive::CORRELATION_ID,
    exchange::{Arrived, Exchange, Routed},
    look::Field,
    refusal::Refusal,
    trace::TRACEPARENT,
};

/// What a line of a head has beside its own bytes: `: ` or the like, and its end.
const LINE_BYTES: usize = 4;
/// ` HTTP/1.1` and a space, and the two ends of the request line and the head.
const AROUND_BYTES: usize = 14;

/// Refuses heads that are longer than may be. What is longer than the buffer of the connection never gets here.
pub(super) fn limit_head(request: Arrived) -> Result<Arrived, Refusal> {
    let limits = &request.exchange.snapshot.settings.limits;
    let target_max = limits.max_target_size.map_or(Limits::TARGET_SIZE, HeadSize::get);
    if target_bytes(&request.exchange) > target_max {
        return Err(Refusal::TargetTooLong);
    }
    let is_crowded = limits
        .max_fields
        .is_some_and(|max| request.look.fields() > max.get());
    if is_crowded
        || limits
            .max_head_size
            .is_some_and(|max| head_bytes(&request) > max.get())
    {
        return Err(Refusal::HeadTooLarge);
    }
    Ok(request)
}

/// Refuses bodies that say how long they are and are longer than may be. The others are counted as they come, see
/// [`super::request_body::RequestBody`].
pub(super) fn limit_body(request: Routed) -> Result<Routed, Refusal> {
    let exchange = &request.arrived.exchange;
    let limits = &exchange.snapshot.settings.limits;
    let Some(max) = request.route.max_body_size.or(limits.max_body_size) else {
        return Ok(request);
    };
    if request.arrived.body.size_hint().lower() > max.get() {
        return Err(Refusal::BodyTooLarge);
    }
    exchange.body_max.set(max.get());
    Ok(request)
}

fn target_bytes(exchange: &Exchange) -> usize {
    exchange
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len())
}

/// As long as the head is in HTTP/1.1. Fields that we have put in ourselves do not count.
fn head_bytes(request: &Arrived) -> usize {
    let (exchange, look) = (&request.exchange, request.look);
    let ours = [
        (Field::CorrelationId, CORRELATION_ID),
        (Field::Trace, TRACEPARENT),
    ];
    let is_ours = |name: &HeaderName| ours.iter().any(|(field, own)| own == name && !look.has(*field));
    let lines = request.headers.iter().filter(|(name, _)| !is_ours(name));
    let fields: usize = lines
        .map(|(name, value)| name.as_str().len() + value.len() + LINE_BYTES)
        .sum();
    exchange.method.as_str().len() + target_bytes(exchange) + AROUND_BYTES + fields
}

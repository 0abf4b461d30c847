//! The trace a request belongs to (W3C Trace Context).

use flexgate_schemas::Traceparent;
use http::{HeaderMap, HeaderName};

use super::{
    ids::{Arrival, Ids},
    look::{Field, Look},
};

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Leaves a valid `traceparent` as it is: the gateway makes no span of its own, and to name one that nobody recorded as
/// the parent would tear the trace apart. An invalid one goes, with its `tracestate`, and a trace begins here. Whether it
/// is the client's trace.
pub(super) fn continue_or_start(headers: &mut HeaderMap, look: Look, ids: &Ids, arrival: &Arrival) -> bool {
    if !look.has(Field::Trace) {
        headers.insert(TRACEPARENT, ids.traceparent(arrival));
        return false;
    }
    let mut values = headers.get_all(TRACEPARENT).into_iter();
    let valid = match (values.next(), values.next()) {
        (Some(only), None) => Traceparent::is_valid(only.as_bytes()),
        _ => false,
    };
    if !valid {
        headers.insert(TRACEPARENT, ids.traceparent(arrival));
        headers.remove(TRACESTATE);
    }
    valid
}

/// The trace's id in a valid `traceparent`: 32 hexadecimal digits.
pub(super) fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.get(3..35)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use flexgate_schemas::IdKey;

    use super::*;

    #[test]
    fn an_invalid_traceparent_takes_its_tracestate_with_it() {
        let ids = Ids::new(IdKey::new(1), 0);
        let arrival = ids.arrival(Instant::now());
        let mut headers = HeaderMap::new();
        headers.insert(TRACESTATE, http::HeaderValue::from_static("a=b"));
        let look = Look::at(&headers);
        assert!(!continue_or_start(&mut headers, look, &ids, &arrival));
        assert!(Traceparent::is_valid(headers[TRACEPARENT].as_bytes()) && !headers.contains_key(TRACESTATE));

        headers.insert(TRACESTATE, http::HeaderValue::from_static("a=b"));
        let before = headers[TRACEPARENT].clone();
        let look = Look::at(&headers);
        assert!(continue_or_start(&mut headers, look, &ids, &arrival));
        assert!(headers[TRACEPARENT] == before && headers.contains_key(TRACESTATE));
    }
}

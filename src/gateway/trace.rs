//! The trace a request belongs to (W3C Trace Context).

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
        (Some(only), None) => is_valid(only.as_bytes()),
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

/// Whether this is a `traceparent` of version 00, or of a later one, of which only the beginning is known (3.2).
fn is_valid(text: &[u8]) -> bool {
    if text.len() < 55 || text[2] != b'-' || text[35] != b'-' || text[52] != b'-' {
        return false;
    }
    let (version, trace, span, flags) = (&text[..2], &text[3..35], &text[36..52], &text[53..55]);
    let is_hex = |field: &[u8]| field.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_id = |field: &[u8]| is_hex(field) && field.iter().any(|byte| *byte != b'0');
    let ends = match version {
        b"ff" => false,
        b"00" => text.len() == 55,
        _ => text.len() == 55 || text[55] == b'-',
    };
    is_hex(version) && is_id(trace) && is_id(span) && is_hex(flags) && ends
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use flexgate_schemas::IdKey;

    use super::*;

    #[test]
    fn a_traceparent_is_valid_as_the_standard_says() {
        let check = |text: &str, valid| assert_eq!(is_valid(text.as_bytes()), valid, "{text}");
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", true);
        check(
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes-later",
            true,
        );
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", false);
        check("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x", false);
        check("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false);
        check("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false);
        check("00-00000000000000000000000000000000-b7ad6b7169203331-01", false);
        check("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", false);
        check("", false);
    }

    #[test]
    fn an_invalid_traceparent_takes_its_tracestate_with_it() {
        let ids = Ids::new(IdKey::new(1), 0);
        let arrival = ids.arrival(Instant::now());
        let mut headers = HeaderMap::new();
        headers.insert(TRACESTATE, http::HeaderValue::from_static("a=b"));
        let look = Look::at(&headers);
        assert!(!continue_or_start(&mut headers, look, &ids, &arrival));
        assert!(is_valid(headers[TRACEPARENT].as_bytes()) && !headers.contains_key(TRACESTATE));

        headers.insert(TRACESTATE, http::HeaderValue::from_static("a=b"));
        let before = headers[TRACEPARENT].clone();
        let look = Look::at(&headers);
        assert!(continue_or_start(&mut headers, look, &ids, &arrival));
        assert!(headers[TRACEPARENT] == before && headers.contains_key(TRACESTATE));
    }
}

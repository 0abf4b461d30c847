//! Values that are made from a request.

use std::io::Write;

use flexgate_schemas::{ValueTemplate, value_template::Piece, variable::Variable};
use http::HeaderValue;
use percent_encoding::percent_decode_str;

use super::{exchange::Routed, matching};
use crate::routing;

/// What a template comes to for this request, as bytes that nothing is known of.
pub(super) fn made(template: &ValueTemplate, request: &Routed) -> Vec<u8> {
    let mut value = Vec::new();
    for piece in template.pieces() {
        match piece {
            Piece::Text(text) => value.extend_from_slice(text.as_bytes()),
            Piece::Variable(variable) => push(variable, request, &mut value),
        }
    }
    value
}

fn push(variable: &Variable, request: &Routed, value: &mut Vec<u8>) {
    let exchange = &request.arrived.exchange;
    match variable {
        Variable::ClientAddress => {
            write!(value, "{}", exchange.client_address).expect("a vector takes every write");
        }
        Variable::RequestId => value.extend_from_slice(exchange.correlation.as_bytes()),
        Variable::RequestMethod => value.extend_from_slice(exchange.method.as_str().as_bytes()),
        Variable::RequestHost => {
            let host = matching::authority(&request.arrived).unwrap_or_default(); // it was found good when the route was
            value.extend_from_slice(host.as_bytes());
        }
        Variable::RequestPath => value.extend_from_slice(exchange.uri.path().as_bytes()),
        Variable::RouteId => value.extend_from_slice(request.route.route.id.as_str().as_bytes()),
        Variable::Path(name) => push_segment(name, request, value),
        Variable::Header(name) => {
            for (place, line) in request
                .arrived
                .headers
                .get_all(name.as_header())
                .iter()
                .enumerate()
            {
                value.extend_from_slice(if place == 0 { b"" } else { b", " }); // RFC 9110 5.3
                value.extend_from_slice(line.as_bytes());
            }
        }
        Variable::Query(name) => {
            let query = exchange.uri.query().unwrap_or_default();
            let first = routing::values_of(query, name.as_str()).next();
            value.extend(first.into_iter().flat_map(routing::decoded));
        }
    }
}

fn push_segment(name: &str, request: &Routed, value: &mut Vec<u8>) {
    // The normal form again: a route found it well-formed, and only those with such a variable ask for it twice.
    let Ok(normal) = routing::normalize(request.arrived.exchange.uri.path()) else {
        return;
    };
    let segment = routing::named_segment(name, &request.route.route.path, &normal.path);
    value.extend(percent_decode_str(segment.unwrap_or_default()));
}

/// A value for a header field; none if it is empty. Control characters are escaped as in a URL: whatever a client sends,
/// no value ends its line (RFC 9110 5.5).
pub(super) fn field_value(made: &[u8]) -> Option<HeaderValue> {
    if made.is_empty() {
        return None;
    }
    let mut value = Vec::with_capacity(made.len());
    for byte in made {
        if byte.is_ascii_control() {
            write!(value, "%{byte:02X}").expect("a vector takes every write");
        } else {
            value.push(*byte);
        }
    }
    Some(HeaderValue::from_bytes(&value).expect("every byte but control characters may stand in a field"))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn what_would_end_a_line_is_escaped() {
        let check = |made: &[u8], value: Option<&[u8]>| {
            assert_eq!(field_value(made).as_ref().map(HeaderValue::as_bytes), value);
        };
        check(b"", None);
        check(b"plain, \"text\"", Some(b"plain, \"text\""));
        check(b"a\r\nset-cookie: b", Some(b"a%0D%0Aset-cookie: b"));
        check(b"\0\t\x7f", Some(b"%00%09%7F"));
        check("Zo\u{eb}".as_bytes(), Some("Zo\u{eb}".as_bytes()));
    }

    proptest! {
        #[test]
        fn no_value_has_a_control_character(made in vec(any::<u8>(), 0..64)) {
            let value = field_value(&made);
            prop_assert!(value.iter().all(|value| !value.as_bytes().iter().any(u8::is_ascii_control)));
            prop_assert_eq!(value.is_none(), made.is_empty());
        }
    }
}

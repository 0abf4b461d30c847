//! Whether a request has what a route asks for beyond host and path.

use flexgate_schemas::{
    Matchers,
    matchers::{HeaderMatcher, QueryMatcher},
};

use super::Target;

/// Whether every predicate on headers and query holds. Allocates nothing.
pub(super) fn predicates_hold(matchers: &Matchers, request: &Target<'_>) -> bool {
    matchers
        .headers()
        .iter()
        .all(|header| header_holds(header, request))
        && matchers
            .query()
            .iter()
            .all(|parameter| parameter_holds(parameter, request))
}

fn header_holds(wanted: &HeaderMatcher, request: &Target<'_>) -> bool {
    let mut lines = request.headers.get_all(wanted.name.as_header()).iter();
    match &wanted.value {
        Some(value) => lines.any(|line| line.as_bytes() == value.as_bytes()),
        None => lines.next().is_some(),
    }
}

fn parameter_holds(wanted: &QueryMatcher, request: &Target<'_>) -> bool {
    let mut parameters = request.query.unwrap_or_default().split('&');
    parameters.any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        decoded(name).eq(wanted.name.as_str().bytes())
            && wanted
                .value
                .as_ref()
                .is_none_or(|wanted| decoded(value).eq(wanted.bytes()))
    })
}

/// The bytes of `application/x-www-form-urlencoded` text. A `%` without two digits stands for itself, as in the URL
/// standard of WHATWG.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (byte, after) = match *rest {
            [b'%', high, low, ref after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (digit(high) << 4 | digit(low), after)
            }
            [b'+', ref after @ ..] => (b' ', after),
            [byte, ref after @ ..] => (byte, after),
            [] => return None,
        };
        rest = after;
        Some(byte)
    })
}

/// The value of a hexadecimal digit.
fn digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

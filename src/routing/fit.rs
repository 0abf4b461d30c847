//! Whether a request has what a route asks for beyond host and path.

use flexgate_schemas::{
    Matchers,
    matchers::{HeaderMatcher, QueryMatcher, Wanted},
};

use super::Target;

/// Whether every predicate on path, headers and query holds. Allocates only to decode a parameter for an expression.
pub(super) fn predicates_hold(matchers: &Matchers, request: &Target<'_>) -> bool {
    let path = request.path.as_bytes();
    matchers
        .path()
        .is_none_or(|wanted| wanted.as_regex().is_match(path))
        && matchers
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
    lines.any(|line| fits(&wanted.wanted, line.as_bytes()))
}

fn parameter_holds(wanted: &QueryMatcher, request: &Target<'_>) -> bool {
    let query = request.query.unwrap_or_default();
    values_of(query, wanted.name.as_str()).any(|value| fits_decoded(&wanted.wanted, value))
}

/// Whether a value is what is wanted.
pub(crate) fn fits(wanted: &Wanted, value: &[u8]) -> bool {
    match wanted {
        Wanted::Any => true,
        Wanted::Exactly(wanted) => value == wanted.as_bytes(),
        Wanted::Matching(regex) => regex.is_match(value),
    }
}

/// Whether the value of a parameter, as sent, is what is wanted.
pub(crate) fn fits_decoded(wanted: &Wanted, value: &str) -> bool {
    match wanted {
        Wanted::Any => true,
        Wanted::Exactly(wanted) => decoded(value).eq(wanted.bytes()),
        Wanted::Matching(regex) => regex.is_match(&decoded(value).collect::<Vec<_>>()),
    }
}

/// The parameters of a query, as sent: name and value.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    parameters.map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
}

/// The values of the parameters with this name, as sent.
pub(crate) fn values_of<'q>(query: &'q str, name: &str) -> impl Iterator<Item = &'q str> {
    parameters(query).filter_map(move |(own, value)| decoded(own).eq(name.bytes()).then_some(value))
}

/// The bytes of `application/x-www-form-urlencoded` text. A `%` without two digits stands for itself, as in the URL
/// standard of WHATWG.
pub(crate) fn decoded(text: &str) -> impl Iterator<Item = u8> {
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

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method};
    use serde_json::{Value, json};

    use super::*;

    fn holds(matchers: Value, query: Option<&str>, headers: &[(&'static str, &'static str)]) -> bool {
        let matchers: Matchers = serde_json::from_value(matchers).unwrap();
        let lines = headers.iter();
        let headers: HeaderMap = lines
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let request = Target {
            host: "a",
            path: "/",
            query,
            method: &Method::GET,
            headers: &headers,
        };
        predicates_hold(&matchers, &request)
    }

    #[test]
    fn one_line_of_a_header_must_have_the_value() {
        let beta = || json!({ "headers": [{ "name": "X-Env", "value": "beta" }] });
        assert!(holds(beta(), None, &[("x-env", "beta")]));
        assert!(holds(beta(), None, &[("x-env", "prod"), ("x-env", "beta")]));
        assert!(!holds(beta(), None, &[("x-env", "Beta")]));
        assert!(!holds(beta(), None, &[]));
        assert!(holds(
            json!({ "headers": [{ "name": "x-env" }] }),
            None,
            &[("x-env", "")]
        ));
    }

    #[test]
    fn query_parameters_are_compared_decoded() {
        let wanted = || json!({ "query": [{ "name": "a b", "value": "1&2" }] });
        assert!(holds(wanted(), Some("a+b=1%262"), &[]));
        assert!(holds(wanted(), Some("x=1&%61%20b=1%262"), &[]));
        assert!(holds(wanted(), Some("a+b=0&a+b=1%262"), &[]));
        assert!(!holds(wanted(), Some("a+b=1&2"), &[]));
        assert!(!holds(wanted(), Some("A+b=1%262"), &[]));
        assert!(!holds(wanted(), None, &[]));
    }

    #[test]
    fn a_parameter_without_a_value_is_there() {
        let present = || json!({ "query": [{ "name": "debug" }] });
        assert!(holds(present(), Some("debug"), &[]));
        assert!(holds(present(), Some("a=1&debug=0"), &[]));
        assert!(!holds(present(), Some("debugger"), &[]));
        assert!(holds(
            json!({ "query": [{ "name": "debug", "value": "" }] }),
            Some("debug"),
            &[]
        ));
    }

    #[test]
    fn a_percent_sign_without_digits_is_itself() {
        let wanted = || json!({ "query": [{ "name": "share", "value": "50%" }] });
        assert!(holds(wanted(), Some("share=50%"), &[]));
        assert!(holds(wanted(), Some("share=50%25"), &[]));
        assert!(holds(
            json!({ "query": [{ "name": "a", "value": "%zZ" }] }),
            Some("a=%zZ"),
            &[]
        ));
    }

    #[test]
    fn an_expression_takes_a_whole_line_or_a_whole_decoded_value() {
        let header = || json!({ "headers": [{ "name": "x-env", "regex": "(beta|canary)-[0-9]" }] });
        assert!(holds(header(), None, &[("x-env", "prod"), ("x-env", "canary-7")]));
        assert!(!holds(header(), None, &[("x-env", "canary-77")]));
        assert!(!holds(header(), None, &[]));
        let parameter = || json!({ "query": [{ "name": "a", "regex": "b c+" }] });
        assert!(holds(parameter(), Some("a=b%20%63c"), &[]));
        assert!(!holds(parameter(), Some("a=b"), &[]));
        assert!(holds(json!({ "pathRegex": "/?" }), None, &[]));
        assert!(!holds(json!({ "pathRegex": "/a" }), None, &[]));
    }

    #[test]
    fn all_predicates_must_hold() {
        let both = || json!({ "headers": [{ "name": "x" }], "query": [{ "name": "y" }] });
        assert!(holds(both(), Some("y"), &[("x", "1")]));
        assert!(!holds(both(), Some("y"), &[]));
        assert!(!holds(both(), Some("z"), &[("x", "1")]));
    }
}

//! What gRPC says in ways of its own: deadlines, and how a call ended.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};

use super::body::Body;

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// As long as anything may take.
const TIMEOUT_MAX: Duration = Duration::from_hours(24);
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const CONTENT: &[u8] = b"application/grpc";

/// Whether a request is a call: its content type is that of gRPC, or begins with it.
pub(super) fn is_call(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|content| {
        let content = content.as_bytes();
        let rest = content.strip_prefix(CONTENT);
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    })
}

/// How long the client waits, if it says so: at most eight digits and a unit.
pub(super) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    let span = match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    Some(span.min(TIMEOUT_MAX))
}

/// A refusal as the end of a call. What a status of HTTP is in gRPC says gRPC's "HTTP to gRPC Status Code Mapping"; only
/// that a deadline passed can be said more exactly.
pub(super) fn ended(status: StatusCode, message: &str) -> Response<Body> {
    let code = match status {
        StatusCode::BAD_REQUEST => "13",    // INTERNAL
        StatusCode::UNAUTHORIZED => "16",   // UNAUTHENTICATED
        StatusCode::FORBIDDEN => "7",       // PERMISSION_DENIED
        StatusCode::NOT_FOUND => "12",      // UNIMPLEMENTED
        StatusCode::GATEWAY_TIMEOUT => "4", // DEADLINE_EXCEEDED
        StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => "14", // UNAVAILABLE
        _ => "2", // UNKNOWN
    };
    let mut response = Response::new(Body::own(Bytes::new()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(STATUS, HeaderValue::from_static(code));
    if let Ok(message) = HeaderValue::try_from(encoded(message)) {
        headers.insert(MESSAGE, message);
    }
    response
}

/// As `grpc-message` is written: what is not visible ASCII, and `%`, is percent-encoded.
fn encoded(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            text.push(byte.into());
        } else {
            let _written = write!(text, "%{byte:02X}"); // a string takes everything
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn a_call_is_known_by_its_content_type() {
        let check = |value: &str, call| assert_eq!(is_call(&headers("content-type", value)), call, "{value}");
        check("application/grpc", true);
        check("application/grpc+proto", true);
        check("application/grpc;x=y", true);
        check("application/grpc-web", false);
        check("application/json", false);
        assert!(!is_call(&HeaderMap::new()));
    }

    #[test]
    fn a_timeout_has_at_most_eight_digits_and_a_unit() {
        let check = |value: &str, millis: Option<u64>| {
            assert_eq!(
                timeout(&headers("grpc-timeout", value)),
                millis.map(Duration::from_millis),
                "{value}"
            );
        };
        check("1H", Some(3_600_000));
        check("2M", Some(120_000));
        check("3S", Some(3000));
        check("40m", Some(40));
        check("5000u", Some(5));
        check("6000000n", Some(6));
        check("123456789m", None);
        check("1", None);
        check("S", None);
        check("-1S", None);
        check("1é", None);
        check("1s", None);
    }

    #[test]
    fn a_message_is_visible_ascii() {
        assert_eq!(encoded("50 % of \u{e9}\n"), "50 %25 of %C3%A9%0A");
    }
}

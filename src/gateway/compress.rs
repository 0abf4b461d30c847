//! Compression of responses that the upstream did not compress.

use std::rc::Rc;

use flexgate_schemas::compression::{Coding, Compressing, Compression};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    },
};
use http_body::Body as _;

use super::{
    accept_encoding,
    around::Afterwards,
    body::Body,
    choice::Choice,
    encoder::Encoder,
    exchange::{Exchange, Routed},
    vary,
};

/// Fields that hold a digest of the body as it is (RFC 9530, RFC 1864).
static DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Types beside `text/*`, and those that end in `+json`, `+xml` or `+text`, whose content is text. What is not known here,
/// images, films and archives first of all, is as a rule compressed in itself.
const TEXTUAL: [&str; 9] = [
    "application/javascript",
    "application/json",
    "application/ndjson",
    "application/sql",
    "application/wasm",
    "application/x-javascript",
    "application/x-ndjson",
    "application/xml",
    "application/yaml",
];

/// What a route or the settings say.
pub(super) fn compile(compression: Option<&Compression>) -> Choice<Compressing> {
    match compression {
        None => Choice::Unsaid,
        Some(Compression::Off) => Choice::Off,
        Some(Compression::On(how)) => Choice::On(Box::new(how.clone())),
    }
}

/// What may happen to a response.
#[derive(Debug)]
pub(super) struct Compress {
    exchange: Rc<Exchange>,
    /// The coding that the client wants, if it wants one.
    coding: Option<Coding>,
    min_bytes: u64,
}

/// Asks whether the response is to be compressed, and how the client would like it.
pub(super) fn compress(request: &mut Routed) -> Option<Compress> {
    let exchange = &request.arrived.exchange;
    let how = request
        .route
        .policies()
        .compression
        .or(&exchange.snapshot.compression)?;
    Some(Compress {
        coding: accept_encoding::preferred(&request.arrived.headers, how.codings()),
        min_bytes: how.min_size().get(),
        exchange: Rc::clone(exchange),
    })
}

impl Afterwards for Compress {
    fn apply(self, mut response: Response<Body>) -> Response<Body> {
        if response.status() == StatusCode::NOT_MODIFIED {
            // What it stands for may have been compressed: it must name the same thing (RFC 9111 4.3.4).
            vary::add(response.headers_mut(), "accept-encoding");
            if self.coding.is_some() {
                weaken(response.headers_mut());
            }
            return response;
        }
        let is_head = self.exchange.method == Method::HEAD;
        let has_body = is_head || !response.body().is_end_stream();
        if !has_body || !may_be_coded(&response, self.min_bytes) {
            return response;
        }
        vary::add(response.headers_mut(), "accept-encoding");
        let Some(coding) = self.coding else {
            return response;
        };
        if is_head {
            describe(response.headers_mut(), coding);
            return response;
        }
        let Some(slot) = self.exchange.client.core.encoders.take() else {
            return response;
        };
        match Encoder::new(coding) {
            Ok(encoder) => {
                describe(response.headers_mut(), coding);
                response.map(|body| body.encoded(encoder, slot))
            }
            Err(error) => {
                tracing::warn!(%error, coding = coding.as_str(), "there is no encoder: a response is not compressed");
                response
            }
        }
    }
}

/// Whether a coding changes nothing but the form of a response, and is worth it.
fn may_be_coded(response: &Response<Body>, min_bytes: u64) -> bool {
    let (status, headers) = (response.status(), response.headers());
    let is_whole = !status.is_informational()
        && ![
            StatusCode::NO_CONTENT,
            StatusCode::RESET_CONTENT,
            StatusCode::PARTIAL_CONTENT,
        ]
        .contains(&status)
        && !headers.contains_key(CONTENT_RANGE);
    is_whole
        && !is_coded(headers)
        && !is_too_short(headers, min_bytes)
        && headers.get(CONTENT_TYPE).is_some_and(is_textual)
        && !DIGESTS.iter().any(|digest| headers.contains_key(digest))
        && !forbids_transformation(headers)
}

/// Whether a body is in some coding already.
pub(super) fn is_coded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

/// A length that is not known may be any.
fn is_too_short(headers: &HeaderMap, min_bytes: u64) -> bool {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse::<u64>().ok());
    length.is_some_and(|length| length < min_bytes)
}

fn is_textual(media_type: &HeaderValue) -> bool {
    let Ok(text) = media_type.to_str() else {
        return false;
    };
    let name = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    // Events are few and small, and each must come at once.
    let is_text = name.starts_with("text/") && name != "text/event-stream";
    let ends = ["+json", "+xml", "+text"];
    let is_call = name.starts_with("application/grpc"); // which compresses each of its messages, if it is to be
    is_text || TEXTUAL.contains(&&*name) || !is_call && ends.iter().any(|end| name.ends_with(end))
}

/// RFC 9111 5.2.2.6.
fn forbids_transformation(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(CACHE_CONTROL).iter().map(HeaderValue::as_bytes);
    let mut directives = lists.flat_map(|list| list.split(|byte| *byte == b','));
    directives.any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}

/// Says in which form the body comes.
fn describe(headers: &mut HeaderMap, coding: Coding) {
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES); // a range would be one of the body as it was
    weaken(headers);
}

/// A strong validator names bytes, a weak one what they mean (RFC 9110 8.8.1).
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")) else {
        return;
    };
    match HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        Ok(weak) => drop(headers.insert(ETAG, weak)),
        Err(_) => drop(headers.remove(ETAG)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn text_is_compressed_and_what_is_compact_already_is_not() {
        let check = |media_type: &'static str, expected: bool| {
            assert_eq!(
                is_textual(&HeaderValue::from_static(media_type)),
                expected,
                "{media_type}"
            );
        };
        for media_type in [
            "text/html; charset=utf-8",
            "Application/JSON",
            "application/problem+json",
            "image/svg+xml",
            "application/x-ndjson ; a=b",
        ] {
            check(media_type, true);
        }
        for media_type in [
            "text/event-stream",
            "text/event-stream;charset=utf-8",
            "application/grpc",
            "application/grpc+json",
            "image/png",
            "video/mp4",
            "application/zip",
            "application/octet-stream",
            "",
        ] {
            check(media_type, false);
        }
    }

    #[test]
    fn a_response_that_a_coding_would_change_is_left_alone() {
        let check = |status: u16, lines: &[(&'static str, &'static str)], expected: bool| {
            let mut response = Response::new(Body::own(Bytes::from_static(b"x")));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            for (name, value) in lines {
                response
                    .headers_mut()
                    .append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(may_be_coded(&response, 100), expected, "{status} {lines:?}");
        };
        check(200, &[], true);
        check(404, &[], true);
        check(200, &[("content-length", "100")], true);
        check(200, &[("content-length", "99")], false);
        check(200, &[("content-encoding", "identity")], true);
        check(200, &[("content-encoding", "br")], false);
        check(
            200,
            &[("content-encoding", "identity"), ("content-encoding", "gzip")],
            false,
        );
        check(200, &[("content-type", "image/png")], true); // of two types the first one counts
        check(
            200,
            &[
                ("cache-control", "public"),
                ("cache-control", "max-age=1, No-Transform"),
            ],
            false,
        );
        check(200, &[("cache-control", "max-age=1")], true);
        check(200, &[("content-digest", "sha-256=:x:")], false);
        check(200, &[("content-range", "bytes 0-1/2")], false);
        for status in [101, 204, 205, 206] {
            check(status, &[], false);
        }
    }

    #[test]
    fn a_strong_validator_is_weakened() {
        let check = |tag: &'static str, weak: &str| {
            let mut headers: HeaderMap = [(ETAG, HeaderValue::from_static(tag))].into_iter().collect();
            weaken(&mut headers);
            assert_eq!(headers[ETAG], weak);
        };
        check(r#""a""#, r#"W/"a""#);
        check(r#"W/"a""#, r#"W/"a""#);
    }
}

//! Header fields that are for one hop only, and what our own hop needs in their place.

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
        TRANSFER_ENCODING, UPGRADE,
    },
    uri::Scheme,
};

use super::{
    look::{Field, Look},
    refusal::Refusal,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Fields that are never passed on (RFC 9110 7.6.1), besides those that `Connection` names.
static HOP_BY_HOP: [(Field, HeaderName); 8] = [
    (Field::Connection, CONNECTION),
    (Field::TransferEncoding, TRANSFER_ENCODING),
    (Field::Te, TE),
    (Field::Upgrade, UPGRADE),
    (Field::ProxyAuthenticate, PROXY_AUTHENTICATE),
    (Field::ProxyAuthorization, PROXY_AUTHORIZATION),
    (Field::KeepAlive, KEEP_ALIVE),
    (Field::ProxyConnection, PROXY_CONNECTION),
];

/// Takes out every field that was for the hop it came over.
fn strip_hop_by_hop(headers: &mut HeaderMap, look: Look) {
    let mut named = Vec::new(); // allocates only if something is named
    if look.has(Field::Connection) {
        let lists = headers.get_all(CONNECTION).iter();
        for value in lists.filter(|value| !is_plain(value.as_bytes())) {
            let options = value
                .as_bytes()
                .split(|byte| *byte == b',')
                .map(<[u8]>::trim_ascii);
            let names = options
                .filter(|option| !is_plain(option))
                .map(HeaderName::from_bytes);
            named.extend(
                names
                    .filter_map(Result::ok)
                    .filter(|name| !is_for_everybody(name)),
            );
        }
    }
    for (field, name) in &HOP_BY_HOP {
        if look.has(*field) {
            headers.remove(name);
        }
    }
    for name in named {
        headers.remove(name);
    }
}

/// Connection options that are no names of fields.
fn is_plain(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"keep-alive") || option.eq_ignore_ascii_case(b"close")
}

/// Fields that are for everybody on the way, so that nobody on it may have them taken out: a client that could would hide
/// from the upstream where it is, or from us that its request goes round in circles.
fn is_for_everybody(name: &HeaderName) -> bool {
    let field = Field::of(name);
    let tells = [Field::CorrelationId, Field::Forwarding, Field::Trace, Field::Via];
    name == HOST || field.is_some_and(|field| tells.contains(&field))
}

/// Whether the only thing that is expected of us is what we do: to say when the body may come (RFC 9110 10.1.1).
pub(super) fn check_expectation(headers: &HeaderMap, look: Look) -> Result<(), Refusal> {
    if !look.has(Field::Expect) {
        return Ok(());
    }
    let lists = headers.get_all(EXPECT).iter().map(HeaderValue::as_bytes);
    let mut expected = lists
        .flat_map(|list| list.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    if expected.all(|one| one.is_empty() || one.eq_ignore_ascii_case(b"100-continue")) {
        Ok(())
    } else {
        Err(Refusal::Expectation)
    }
}

/// A request's framing that hyper lets pass and a gateway must not: a coding other than `chunked` (RFC 9112 6.1).
pub(super) fn check_framing(headers: &HeaderMap, look: Look) -> Result<(), Refusal> {
    if is_coded_otherwise(headers, look) {
        Err(Refusal::TransferEncoding)
    } else {
        Ok(())
    }
}

/// Whether a body has a coding besides `chunked`. Nobody asked for one (`TE`), and without its name on the next hop the
/// body would be something else.
pub(super) fn is_coded_otherwise(headers: &HeaderMap, look: Look) -> bool {
    if !look.has(Field::TransferEncoding) {
        return false;
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).into_iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    !matches!((codings.next(), codings.next()), (Some(only), None) if is_chunked(only))
}

/// Takes what was for the last hop only out of the fields of a request; what the next one needs depends on how it is spoken
/// to. Whether the client takes trailers.
pub(super) fn prepare_request(headers: &mut HeaderMap, look: Look) -> bool {
    let takes_trailers = look.has(Field::Te) && headers.get(TE).is_some_and(accepts_trailers);
    strip_hop_by_hop(headers, look);
    if look.has(Field::Expect) {
        headers.remove(EXPECT); // answered by us, when there is an upstream to take the body
    }
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    takes_trailers
}

/// Puts in what a hop over HTTP/1.1 needs. The request may have been made for HTTP/2 before, in vain.
pub(super) fn for_http1<B: http_body::Body>(request: &mut Request<B>, takes_trailers: bool) {
    if request.version() == Version::HTTP_2 {
        unmake_http2(request);
    }
    let has_body = !request.body().is_end_stream();
    let length = request.body().size_hint().exact();
    let headers = request.headers_mut();
    if takes_trailers {
        headers.insert(CONNECTION, HeaderValue::from_static("te")); // RFC 9110 10.1.4
    }
    if has_body && !headers.contains_key(CONTENT_LENGTH) {
        // Said explicitly: without it hyper sends no body at all for a GET.
        match length {
            Some(length) => headers.insert(CONTENT_LENGTH, length.into()),
            None => headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
        };
    }
}

/// The authority goes back into `Host`, and the target is in origin form again.
fn unmake_http2<B>(request: &mut Request<B>) {
    let host = request
        .uri()
        .authority()
        .map(|authority| HeaderValue::try_from(authority.as_str()));
    if let Some(Ok(host)) = host {
        request.headers_mut().insert(HOST, host);
    }
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
    *request.version_mut() = Version::HTTP_11;
}

/// Says that the connection goes on in another protocol, or is to.
pub(super) fn switch_to(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(UPGRADE, protocol);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
}

/// Makes a request one of HTTP/2 (RFC 9113 8.3.1): its target has scheme and authority, and no field is about the connection.
/// One that is so already stays as it is.
pub(super) fn for_http2<B>(request: &mut Request<B>, is_encrypted: bool) -> Result<(), http::Error> {
    if request.version() == Version::HTTP_2 {
        return Ok(());
    }
    let headers = request.headers_mut();
    headers.remove(CONNECTION); // it may have been made for HTTP/1.1 first
    headers.remove(TRANSFER_ENCODING);
    let authority = headers.remove(HOST);
    let scheme = if is_encrypted { Scheme::HTTPS } else { Scheme::HTTP };
    let mut uri = Uri::builder().scheme(scheme);
    if let Some(authority) = &authority {
        uri = uri.authority(authority.as_bytes());
    }
    if let Some(path) = request.uri().path_and_query() {
        uri = uri.path_and_query(path.clone());
    }
    *request.uri_mut() = uri.build()?;
    *request.version_mut() = Version::HTTP_2;
    Ok(())
}

/// Makes one field of the several that a cookie may come in over HTTP/2 (RFC 9113 8.2.3).
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    let crumbs = headers.get_all(COOKIE);
    if crumbs.iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<_> = crumbs.iter().map(HeaderValue::as_bytes).collect();
    let joined = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]));
    let mut joined = joined.expect("fields' values joined by visible characters");
    joined.set_sensitive(true);
    headers.insert(COOKIE, joined);
}

fn accepts_trailers(te: &HeaderValue) -> bool {
    let mut codings = te.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    codings.any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

/// Makes the fields of a response those of the next hop.
pub(super) fn prepare_response(headers: &mut HeaderMap, look: Look) {
    if look.has(Field::TransferEncoding) && look.has(Field::ContentLength) {
        headers.remove(CONTENT_LENGTH); // the coding holds (RFC 9112 6.3), the length may be a smuggler's
    }
    strip_hop_by_hop(headers, look);
}

/// For how many seconds the upstream keeps a connection that rests, if it says so (`Keep-Alive: timeout=5`).
pub(super) fn keep_alive_seconds(headers: &HeaderMap) -> Option<u32> {
    let text = headers.get(KEEP_ALIVE)?.to_str().ok()?;
    let parameter = |text: &str| text.trim().strip_prefix("timeout=")?.trim().parse().ok();
    text.split(',').find_map(parameter)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Fields, as lines of name and value. Tests of other policies have theirs from here, too.
    pub(in crate::gateway) fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn prepare(headers: &mut HeaderMap, has_body: bool) {
        let look = Look::at(headers);
        let takes_trailers = prepare_request(headers, look);
        let body = if has_body { "x" } else { "" };
        let mut request = Request::new(http_body_util::Full::<bytes::Bytes>::from(body));
        *request.headers_mut() = std::mem::take(headers);
        for_http1(&mut request, takes_trailers);
        *headers = std::mem::take(request.headers_mut());
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn fields_of_one_hop_and_those_that_connection_names_are_taken_out() {
        let mut request = headers(&[
            ("host", "a"),
            ("connection", "Close, X-One"),
            ("connection", "x-two ,, te"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "secret"),
            ("proxy-authenticate", "x"),
            ("expect", "100-continue"),
        ]);
        prepare(&mut request, false);
        assert_eq!(names(&request), ["host", "x-three"]);
    }

    #[test]
    fn nobody_has_fields_taken_out_that_are_for_everybody() {
        let all = [
            "forwarded",
            "host",
            "traceparent",
            "via",
            "x-correlation-id",
            "x-forwarded-for",
        ];
        let mut request = headers(&all.map(|name| (name, "x")));
        request.insert("connection", all.join(",").parse().unwrap());
        prepare(&mut request, false);
        assert_eq!(names(&request), all);
    }

    #[test]
    fn only_trailers_are_asked_for_on_the_next_hop() {
        let mut request = headers(&[("te", "gzip;q=1, trailers"), ("connection", "te")]);
        prepare(&mut request, false);
        assert_eq!(
            (&request["te"], &request["connection"]),
            (&"trailers".parse().unwrap(), &"te".parse().unwrap())
        );
    }

    #[test]
    fn a_body_without_a_length_is_chunked_unless_it_is_known_by_now() {
        let mut request = headers(&[("transfer-encoding", "Chunked")]);
        prepare(&mut request, true);
        assert_eq!(names(&request), ["content-length"]);
        let mut request = headers(&[("content-length", "3")]);
        prepare(&mut request, true);
        assert_eq!(names(&request), ["content-length"]);
        let unknown = http_body_util::StreamBody::new(futures_util::stream::empty::<
            Result<http_body::Frame<bytes::Bytes>, std::convert::Infallible>,
        >());
        let mut request = Request::new(unknown);
        for_http1(&mut request, false);
        assert_eq!(request.headers()["transfer-encoding"], "chunked");
    }

    #[test]
    fn a_request_of_http_2_names_its_authority_and_no_connection() {
        let fields = headers(&[("host", "a:81"), ("te", "trailers"), ("connection", "te")]);
        let mut request = Request::get("/x?y").body(()).unwrap();
        *request.headers_mut() = fields;
        let mut request = request.map(|()| http_body_util::Empty::<bytes::Bytes>::new());
        for _ in 0..2 {
            for_http2(&mut request, true).unwrap();
            assert_eq!(request.uri(), "https://a:81/x?y");
            assert_eq!(names(request.headers()), ["te"]);
        }
        for_http1(&mut request, true);
        assert_eq!(request.uri(), "/x?y");
        assert_eq!(names(request.headers()), ["connection", "host", "te"]);
    }

    #[test]
    fn the_crumbs_of_a_cookie_are_joined() {
        let mut request = headers(&[("cookie", "a=1"), ("cookie", "b=2"), ("x", "y")]);
        join_cookies(&mut request);
        assert_eq!(request["cookie"], "a=1; b=2");
        assert_eq!(request.get_all("cookie").iter().count(), 1);
    }

    #[test]
    fn chunked_is_the_only_coding() {
        let check = |codings: &[&str], fits: bool| {
            let lines: Vec<_> = codings
                .iter()
                .map(|coding| ("transfer-encoding", *coding))
                .collect();
            let headers = headers(&lines);
            assert_eq!(
                check_framing(&headers, Look::at(&headers)).is_ok(),
                fits,
                "{codings:?}"
            );
        };
        check(&[], true);
        check(&["Chunked"], true);
        check(&["gzip, chunked"], false);
        check(&["chunked", "chunked"], false);
        check(&["identity"], false);
    }

    #[test]
    fn a_response_with_both_framings_loses_the_length() {
        let mut response = headers(&[("transfer-encoding", "chunked"), ("content-length", "3")]);
        let look = Look::at(&response);
        prepare_response(&mut response, look);
        assert!(response.is_empty());
    }

    #[test]
    fn the_announced_rest_is_read() {
        let check =
            |value, seconds| assert_eq!(keep_alive_seconds(&headers(&[("keep-alive", value)])), seconds);
        check("timeout=5", Some(5));
        check("max=100, timeout=15", Some(15));
        check("timeout=soon", None);
        check("", None);
    }
}

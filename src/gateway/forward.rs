//! Sends a request to its target and passes the answer on.

use std::{
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use flexgate_schemas::transport::Protocol;
use futures_util::future::{Either, LocalBoxFuture};
use http::{
    HeaderMap, HeaderValue, Request, Response, Uri, Version,
    header::{AUTHORIZATION, HOST},
    uri::PathAndQuery,
};
use tower::Service;

use super::{
    body::Body,
    caller,
    compiled::{Authorization, CompiledRoute, CompiledTarget},
    errand::Errand,
    exchange::{Arrived, Exchange, Forwarded, Targeted},
    forwarded, grpc, headers,
    look::Field,
    refusal::{Refusal, Refused, refused},
    request_body::{RequestBody, Source},
    tunnel,
};
use crate::routing::{HostRefusal, PathRefusal};

/// The end of the stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forward;

impl Service<Targeted> for Forward {
    type Response = Response<Body>;
    type Error = Refusal;
    type Future = Either<Refused, LocalBoxFuture<'static, Result<Response<Body>, Refusal>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Targeted) -> Self::Future {
        // Everything up to the first wait is done here, so that the future carries no more than it needs.
        match prepare(request) {
            Ok((errand, request)) => Either::Right(errand.run(request)),
            Err(refusal) => Either::Left(refused(refusal)),
        }
    }
}

/// The request as the target is to see it.
fn prepare(targeted: Targeted) -> Result<(Errand, Request<RequestBody>), Refusal> {
    let Targeted {
        request,
        upstream,
        target,
    } = targeted;
    let Arrived {
        exchange,
        mut headers,
        look,
        body,
    } = request.arrived;
    let core = &exchange.client.core;
    let settings = &exchange.snapshot.settings;
    if look.has(Field::Via) && core.via.is_in(&headers) {
        return Err(Refusal::Loop);
    }
    let may_switch = body.is_end_stream() && target.origin.protocol != Protocol::Http2;
    let upgrade = may_switch
        .then(|| tunnel::asked_for(&exchange, &headers, look))
        .flatten();
    let takes_trailers = headers::prepare_request(&mut headers, look);
    if look.has(Field::Key) {
        headers.remove(caller::KEY); // nobody but us says who the client is
    }
    if let Some(caller) = exchange.caller.get() {
        caller.tell(&mut headers);
    }
    if exchange.version == Version::HTTP_2 && look.has(Field::Cookie) {
        headers::join_cookies(&mut headers);
    }
    let host = exchange_host(&mut headers, &exchange, &request.route, &target)?;
    forwarded::tell(&mut headers, look, &exchange.client, host, settings);
    core.via.add(&mut headers, exchange.version);
    request.changes.make(&mut headers);
    match &upstream.authorization {
        Authorization::Client => {}
        Authorization::Own(value) => drop(headers.insert(AUTHORIZATION, value.clone())),
        Authorization::Missing => return Err(Refusal::NoCredential),
    }
    let client_timeout = exchange.is_call.then(|| grpc::timeout(&headers)).flatten();
    let uri = request_target(&exchange.uri, &target.base, &request.path, &request.query)?;
    let outgoing = outgoing(&exchange, uri, headers, body);
    drop(exchange.target.set(Arc::clone(&target)));
    let errand = Errand {
        began: Instant::now(),
        connect_timeout: upstream.connect_timeout(settings),
        timeout: request.route.timeout(&upstream, settings, client_timeout),
        takes_trailers,
        upgrade,
        exchange,
        target,
    };
    Ok((errand, outgoing))
}

/// Puts the `Host` in that the target is to see, and returns the one that the client asked for: a target with an
/// authority of its own beats the field (RFC 9112 3.2.2).
fn exchange_host(
    headers: &mut HeaderMap,
    exchange: &Exchange,
    route: &CompiledRoute,
    target: &CompiledTarget,
) -> Result<Option<HeaderValue>, Refusal> {
    let authority = exchange
        .uri
        .authority()
        .map(|authority| HeaderValue::try_from(authority.as_str()));
    let authority = authority
        .transpose()
        .map_err(|_| Refusal::Host(HostRefusal::Syntax))?;
    let rewritten = route
        .policies()
        .edits
        .as_ref()
        .and_then(|edits| edits.host.as_ref());
    let sent = headers.insert(HOST, rewritten.unwrap_or(&target.origin.authority).clone());
    let asked_for = authority.or(sent);
    if route.preserve_host
        && let Some(host) = &asked_for
    {
        headers.insert(HOST, host.clone());
    }
    Ok(asked_for)
}

fn outgoing(exchange: &Rc<Exchange>, uri: Uri, headers: HeaderMap, body: Source) -> Request<RequestBody> {
    let mut request = Request::new(RequestBody::new(body, Rc::clone(exchange)));
    *request.method_mut() = exchange.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers;
    request
}

/// Base path, path and query in origin form (RFC 9112 3.2.1).
fn request_target(sent: &Uri, base: &str, path: &Forwarded, query: &Forwarded) -> Result<Uri, Refusal> {
    let path = match (path, query) {
        (Forwarded::AsSent, Forwarded::AsSent) if base.is_empty() => {
            let as_sent = sent.path_and_query().cloned();
            return Ok(Uri::from(
                as_sent.unwrap_or_else(|| PathAndQuery::from_static("/")),
            ));
        }
        (Forwarded::AsSent, _) => sent.path(),
        (Forwarded::Changed(path), _) => path,
    };
    let query = match query {
        Forwarded::AsSent => sent.query(),
        Forwarded::Changed(query) => Some(&**query).filter(|query| !query.is_empty()),
    };
    let base = if path.starts_with('/') { base } else { "" }; // `OPTIONS *` is about the server, not a path of it
    let text = match query {
        Some(query) => format!("{base}{path}?{query}"),
        None => format!("{base}{path}"),
    };
    PathAndQuery::try_from(text)
        .map(Uri::from)
        .map_err(|_| Refusal::Path(PathRefusal::Character))
}

//! Which route takes a request.

use std::{borrow::Cow, sync::Arc};

use http::{Method, Version, header, uri::Authority};

use super::{
    compiled::CompiledRoute,
    edits::Changes,
    exchange::{Arrived, Exchange, Forwarded, Routed},
    headers,
    refusal::Refusal,
};
use crate::routing::{self, Found, NormalPath, Target};

/// Finds the route; without one there is nothing to do.
pub(super) fn route(request: Arrived) -> Result<Routed, Refusal> {
    let exchange = &request.exchange;
    let (route, normal) = find(&request, &exchange.method)?;
    let route = Arc::clone(route);
    // Known from here on, so that a refusal counts as the route's.
    drop(exchange.route.set(Arc::clone(&route)));
    if normal.encoded_slash && !route.allow_encoded_slashes {
        return Err(Refusal::EncodedSlash);
    }
    let path = match route
        .path
        .make(&route.route, &normal.path)
        .map_err(Refusal::Path)?
    {
        path if *path == *exchange.uri.path() => Forwarded::AsSent,
        path => Forwarded::Changed(path.into()),
    };
    Ok(Routed {
        arrived: request,
        route,
        path,
        query: Forwarded::AsSent,
        changes: Changes::default(),
    })
}

/// The route that takes the request, were it one with this method, and the path in the form that it was found by.
pub(super) fn find<'r>(
    request: &'r Arrived,
    method: &Method,
) -> Result<(&'r Arc<CompiledRoute>, NormalPath<'r>), Refusal> {
    let exchange = &request.exchange;
    let snapshot = &exchange.snapshot;
    if snapshot.revision == 0 {
        return Err(Refusal::NoConfiguration);
    }
    if *method == Method::CONNECT {
        return Err(Refusal::Tunnel); // its target is an authority, which no route can match
    }
    headers::check_framing(&request.headers, request.look)?;
    headers::check_expectation(&request.headers, request.look)?;
    check_target(exchange)?;
    let host = match authority(request)? {
        "" => Cow::Borrowed(""),
        text => routing::normalize_host(text).map_err(Refusal::Host)?,
    };
    let normal = routing::normalize(exchange.uri.path()).map_err(Refusal::Path)?;
    let found = snapshot.table.find(&Target {
        host: &host,
        path: &normal.path,
        query: exchange.uri.query(),
        method,
        headers: &request.headers,
    });
    match found {
        Found::Rule(route) => Ok((route, normal)),
        Found::MethodNotAllowed(methods) => Err(Refusal::MethodNotAllowed(methods)),
        Found::Nothing => Err(Refusal::RouteNotFound),
    }
}

/// The target has a form that is for us: a path, a URL of HTTP, or the whole server where options are asked for (RFC 9112
/// 3.2).
fn check_target(exchange: &Exchange) -> Result<(), Refusal> {
    let is_http = |scheme| scheme == "http" || scheme == "https";
    let is_ours = exchange.uri.authority().is_none() || exchange.uri.scheme_str().is_some_and(is_http);
    let is_path = exchange.uri.path() != "*" || exchange.method == Method::OPTIONS;
    (is_ours && is_path).then_some(()).ok_or(Refusal::Target)
}

/// The host and port that the request is for; empty where HTTP/1.0 names none. The target's own authority beats the
/// `Host` field (RFC 9112 3.2.2), which must be there all the same; in HTTP/2 it need not, and must not say otherwise
/// (RFC 9113 8.3.1).
pub(super) fn authority(request: &Arrived) -> Result<&str, Refusal> {
    let exchange = &request.exchange;
    let target = exchange.uri.authority().map(Authority::as_str);
    let mut hosts = request.headers.get_all(header::HOST).into_iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => None,
        (Some(host), None) => match host.to_str() {
            Ok(host) => Some(host),
            Err(_) => return Err(Refusal::Host(routing::HostRefusal::Syntax)),
        },
        (Some(_), Some(_)) => return Err(Refusal::HostCount),
    };
    match (exchange.version, target, host) {
        (Version::HTTP_2, Some(target), Some(host)) if target != host => Err(Refusal::HostDiffers),
        (Version::HTTP_2, None, None) | (Version::HTTP_11, _, None) => Err(Refusal::HostCount),
        (_, target, host) => Ok(target.or(host).unwrap_or_default()),
    }
}

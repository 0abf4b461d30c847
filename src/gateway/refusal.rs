//! Refusals: everything the gateway itself may answer, and the one match that puts it into words.

mod denied;
mod invalid;
mod response;
mod unreachable;

use std::future::{Ready, ready};

use flexgate_schemas::Methods;
use http::{Response, StatusCode};

pub(super) use self::invalid::Invalid;
use super::{
    authenticate::Denied, body::Body, connect::ConnectError, exchange::Exchange, rate_limit::Exceeded,
};
use crate::routing::{HostRefusal, PathRefusal};

/// Why the gateway answers a request itself.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nothing was published yet.
    NoConfiguration,
    /// No `Host`, or several (RFC 9112 3.2).
    HostCount,
    /// A `Host` that is not the authority of the target (RFC 9113 8.3.1).
    HostDiffers,
    /// A `Host` that names no host.
    Host(HostRefusal),
    /// A target that is neither a path nor a URL of HTTP.
    Target,
    /// A path that has no normal form.
    Path(PathRefusal),
    /// An encoded slash or backslash in the path of a route that does not take them.
    EncodedSlash,
    /// A `Transfer-Encoding` other than `chunked` (RFC 9112 6.1).
    TransferEncoding,
    /// A target that is longer than may be.
    TargetTooLong,
    /// A head that is longer, or has more fields, than may be.
    HeadTooLarge,
    /// A body that is longer than may be.
    BodyTooLarge,
    /// Something else is expected than to be told when the body may come.
    Expectation,
    /// A request for a tunnel.
    Tunnel,
    /// It comes from where requests may not come from.
    Address,
    /// It has been here before.
    Loop,
    /// No route takes it.
    RouteNotFound,
    /// Routes take the path, but only with these methods.
    MethodNotAllowed(Methods),
    /// The one who sends it may not.
    Denied(Denied),
    /// This node has never had the keys that the token would be verified with.
    NoTokenKeys,
    /// Whether its signature was used before cannot be found out.
    ReplayUnknown,
    /// Too many passwords wait to be verified.
    PasswordsBusy,
    /// A limit has nothing left for it.
    LimitExceeded(Box<Exceeded>),
    /// A limit that must hold cannot be asked.
    LimitUnavailable,
    /// It is not what the route takes.
    Invalid(Invalid),
    /// The upstream is not there, or has no target.
    NoTarget,
    /// This node has no value for the upstream's credential.
    NoCredential,
    /// No connection was made.
    Unreachable(ConnectError),
    /// The connection broke before the response began.
    Terminated(Option<hyper::Error>),
    /// What the upstream sent is not HTTP, or not an answer.
    BadResponse,
    /// The response did not begin in time.
    ResponseTimeout,
    /// The client sent something that is no body.
    BadBody,
    /// The client did not send its body in time.
    BodyTimeout,
}

/// What a client is told. `detail` is constant for a 5xx: causes are logged, not told.
struct Words {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    /// The token of `Proxy-Status` (RFC 9209 2.3).
    error: &'static str,
}

impl Words {
    fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: &str,
        error: &'static str,
    ) -> Self {
        Self {
            status,
            code,
            title,
            detail: detail.to_owned(),
            error,
        }
    }
}

impl Refusal {
    /// The one match of this listener.
    #[expect(clippy::too_many_lines, reason = "a table: one entry per refusal")]
    fn words(&self) -> Words {
        let words = Words::new;
        match self {
            Self::NoConfiguration => words(
                StatusCode::SERVICE_UNAVAILABLE,
                "no_configuration",
                "No configuration yet",
                "This node has not received its configuration yet.",
                "proxy_configuration_error",
            ),
            Self::HostCount => words(
                StatusCode::BAD_REQUEST,
                "bad_host",
                "Bad Host",
                "A request has exactly one Host field.",
                "http_request_error",
            ),
            Self::HostDiffers => words(
                StatusCode::BAD_REQUEST,
                "bad_host",
                "Bad Host",
                "The Host field is not the authority that the request is for.",
                "http_request_error",
            ),
            Self::Host(reason) => words(
                StatusCode::BAD_REQUEST,
                "bad_host",
                "Bad Host",
                &reason.to_string(),
                "http_request_error",
            ),
            Self::Target => words(
                StatusCode::BAD_REQUEST,
                "bad_target",
                "Bad target",
                "A target is a path, or a URL that begins with http:// or https://.",
                "http_request_error",
            ),
            Self::Path(reason) => words(
                StatusCode::BAD_REQUEST,
                "bad_path",
                "Bad path",
                &reason.to_string(),
                "http_request_error",
            ),
            Self::EncodedSlash => words(
                StatusCode::BAD_REQUEST,
                "encoded_slash",
                "Encoded slash",
                "This route does not take encoded slashes in the path.",
                "http_request_error",
            ),
            Self::TransferEncoding => words(
                StatusCode::BAD_REQUEST,
                "bad_transfer_encoding",
                "Bad Transfer-Encoding",
                "The only Transfer-Encoding taken is chunked.",
                "http_request_error",
            ),
            Self::TargetTooLong => words(
                StatusCode::URI_TOO_LONG,
                "target_too_long",
                "Target too long",
                "Path and query together are longer than this gateway takes.",
                "http_request_error",
            ),
            Self::HeadTooLarge => words(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "head_too_large",
                "Head too large",
                "The fields of the request are more, or longer, than this gateway takes.",
                "http_request_error",
            ),
            Self::BodyTooLarge => words(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "Body too large",
                "The body of the request is longer than this route takes.",
                "http_request_error",
            ),
            Self::Expectation => words(
                StatusCode::EXPECTATION_FAILED,
                "expectation_failed",
                "Expectation failed",
                "The only expectation that is met is 100-continue.",
                "http_request_error",
            ),
            Self::Tunnel => words(
                StatusCode::NOT_IMPLEMENTED,
                "connect_not_supported",
                "CONNECT is not supported",
                "This gateway does not make tunnels.",
                "http_request_denied",
            ),
            Self::Address => words(
                StatusCode::FORBIDDEN,
                "address_denied",
                "Address denied",
                "Requests from this address are not let through.",
                "http_request_denied",
            ),
            Self::Loop => words(
                StatusCode::LOOP_DETECTED,
                "proxy_loop_detected",
                "Loop detected",
                "The request has passed this gateway before.",
                "proxy_loop_detected",
            ),
            Self::RouteNotFound => words(
                StatusCode::NOT_FOUND,
                "route_not_found",
                "No such route",
                "No route takes this request.",
                "destination_not_found",
            ),
            Self::MethodNotAllowed(methods) => words(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Method not allowed",
                &format!("This path takes {methods}."),
                "http_request_error",
            ),
            Self::Denied(denied) => denied::words(*denied),
            Self::NoTokenKeys => words(
                StatusCode::SERVICE_UNAVAILABLE,
                "token_keys_unavailable",
                "Keys unavailable",
                "The keys of the token's issuer are not available.",
                "proxy_configuration_error",
            ),
            Self::ReplayUnknown => words(
                StatusCode::SERVICE_UNAVAILABLE,
                "signature_check_unavailable",
                "Signature check unavailable",
                "Whether the signature was used before cannot be found out at present: sign again and try again.",
                "proxy_internal_error",
            ),
            Self::PasswordsBusy => words(
                StatusCode::SERVICE_UNAVAILABLE,
                "password_checks_busy",
                "Too many passwords",
                "More passwords are to be verified than this node has time for.",
                "proxy_internal_error",
            ),
            Self::LimitExceeded(exceeded) => words(
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limited",
                "Request cannot be satisfied as assigned quota has been exceeded",
                &exceeded.message,
                "http_request_denied",
            ),
            Self::LimitUnavailable => words(
                StatusCode::SERVICE_UNAVAILABLE,
                "rate_limit_unavailable",
                "Rate limit unavailable",
                "How many requests may pass cannot be found out at present.",
                "proxy_internal_error",
            ),
            Self::Invalid(reason) => reason.words(),
            Self::NoTarget => words(
                StatusCode::SERVICE_UNAVAILABLE,
                "no_target",
                "No target",
                "The upstream has no target.",
                "destination_unavailable",
            ),
            Self::NoCredential => words(
                StatusCode::SERVICE_UNAVAILABLE,
                "credential_unavailable",
                "Credential unavailable",
                "The credential for the upstream is not available.",
                "proxy_configuration_error",
            ),
            Self::Unreachable(error) => unreachable::words(error),
            Self::Terminated(_) => words(
                StatusCode::BAD_GATEWAY,
                "upstream_closed",
                "Upstream closed the connection",
                "The upstream closed the connection before it answered.",
                "connection_terminated",
            ),
            Self::BadResponse => words(
                StatusCode::BAD_GATEWAY,
                "upstream_protocol_error",
                "Bad response",
                "The upstream did not answer in HTTP.",
                "http_protocol_error",
            ),
            Self::ResponseTimeout => words(
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "Upstream timed out",
                "The upstream did not answer in time.",
                "http_response_timeout",
            ),
            Self::BadBody => words(
                StatusCode::BAD_REQUEST,
                "bad_body",
                "Bad body",
                "The body of the request is not framed as announced.",
                "http_request_error",
            ),
            Self::BodyTimeout => words(
                StatusCode::REQUEST_TIMEOUT,
                "body_timeout",
                "Request timed out",
                "The body of the request did not arrive in time.",
                "http_request_error",
            ),
        }
    }
}

/// A refusal as the future of a layer.
pub(super) type Refused = Ready<Result<Response<Body>, Refusal>>;

/// Refuses now.
pub(super) fn refused(refusal: Refusal) -> Refused {
    ready(Err(refusal))
}

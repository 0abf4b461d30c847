//! The part of the match that is about connections.

use http::StatusCode;

use super::{
    super::{connect::ConnectError, resolve::ResolveError},
    Words,
};

/// What a client is told of a connection that was not made.
#[expect(clippy::too_many_lines, reason = "a table: one entry per reason")]
pub(super) fn words(error: &ConnectError) -> Words {
    let words = Words::new;
    match error {
        ConnectError::Resolve(ResolveError::Timeout) => words(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_dns_timeout",
            "Upstream not resolved in time",
            "The name of the upstream was not resolved in time.",
            "dns_timeout",
        ),
        ConnectError::Resolve(ResolveError::NoAddress | ResolveError::Failed(_)) => words(
            StatusCode::BAD_GATEWAY,
            "upstream_dns_error",
            "Upstream not resolved",
            "The name of the upstream could not be resolved.",
            "dns_error",
        ),
        ConnectError::Prohibited(_) => words(
            StatusCode::BAD_GATEWAY,
            "destination_ip_prohibited",
            "Upstream address prohibited",
            "The upstream is at an address that this gateway never connects to.",
            "destination_ip_prohibited",
        ),
        ConnectError::Refused(_) => words(
            StatusCode::BAD_GATEWAY,
            "upstream_refused",
            "Upstream refused the connection",
            "The upstream did not accept the connection.",
            "connection_refused",
        ),
        ConnectError::Timeout => words(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_connect_timeout",
            "Upstream did not accept in time",
            "The connection to the upstream was not made in time.",
            "connection_timeout",
        ),
        ConnectError::Certificate(_) => words(
            StatusCode::BAD_GATEWAY,
            "upstream_certificate_error",
            "Upstream certificate not acceptable",
            "The certificate of the upstream is not acceptable.",
            "tls_certificate_error",
        ),
        ConnectError::Configuration(_) => words(
            StatusCode::SERVICE_UNAVAILABLE,
            "credential_unavailable",
            "Credential unavailable",
            "The credential for the upstream is not available.",
            "proxy_configuration_error",
        ),
        ConnectError::NoHttp2 => words(
            StatusCode::BAD_GATEWAY,
            "upstream_protocol_error",
            "Bad response",
            "The upstream does not speak HTTP/2.",
            "http_protocol_error",
        ),
        ConnectError::Tls(_) => words(
            StatusCode::BAD_GATEWAY,
            "upstream_tls_error",
            "Upstream TLS failed",
            "The TLS handshake with the upstream failed.",
            "tls_protocol_error",
        ),
        ConnectError::Http(_) => words(
            StatusCode::BAD_GATEWAY,
            "upstream_closed",
            "Upstream closed the connection",
            "The upstream closed the connection before it answered.",
            "connection_terminated",
        ),
    }
}

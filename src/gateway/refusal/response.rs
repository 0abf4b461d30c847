//! How a refusal becomes a response.

use std::error::Error as _;

use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::{super::grpc, Body, Exchange, Refusal, denied};
use crate::{problem::Problem, validation::Mistake};

/// Seconds after which a client may well try again, sent with every 503.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");
/// The type of problem that the draft of `RateLimit` has for it.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

impl Refusal {
    /// Whether nothing more is read from the connection: what comes next on it is not known to be a request, or is what
    /// was not to come.
    fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::TransferEncoding | Self::Tunnel | Self::BadBody | Self::BodyTimeout | Self::BodyTooLarge
        )
    }

    /// What is wrong with the request, one by one.
    fn mistakes(&self) -> Vec<Mistake> {
        match self {
            Self::Invalid(reason) => reason.mistakes(),
            _ => Vec::new(),
        }
    }

    /// What a client is not told.
    fn cause(&self) -> Option<String> {
        match self {
            Self::Unreachable(error) => Some(error.to_string()),
            Self::Terminated(Some(error)) => Some(match error.source() {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            }),
            _ => None,
        }
    }

    /// The response that says so.
    pub(in crate::gateway) fn into_response(self, exchange: &Exchange) -> Response<Body> {
        let words = self.words();
        exchange.refusal.set(Some(words.code));
        if words.status.is_server_error() {
            tracing::debug!(
                code = words.code, cause = self.cause(), correlation_id = ?exchange.correlation, path = exchange.uri.path(),
                "a request failed"
            );
        }
        if exchange.is_call {
            return grpc::ended(words.status, &words.detail);
        }
        let mut problem = Problem::new(words.status, words.code, words.title, words.detail);
        problem.instance = Some(exchange.uri.path().to_owned());
        problem.correlation_id = exchange.correlation.to_str().ok().map(str::to_owned);
        problem.revision = Some(exchange.snapshot.revision);
        if let Self::LimitExceeded(exceeded) = &self {
            problem.kind = QUOTA_EXCEEDED;
            problem.violated_policies = vec![exceeded.limit.to_string()];
        }
        let mut response = problem.naming(self.mistakes()).into_response().map(Body::own);
        let headers = response.headers_mut();
        if let Self::Invalid(reason) = &self {
            reason.advise(headers);
        }
        if let Ok(value) = HeaderValue::try_from(format!("flexgate; error={}", words.error)) {
            headers.insert(PROXY_STATUS, value);
        }
        if words.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if let Self::LimitExceeded(exceeded) = &self {
            headers.insert(header::RETRY_AFTER, exceeded.again.into());
        }
        if self.ends_connection() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Self::Denied(denied) = self {
            denied::challenge(headers, denied, exchange);
        }
        if let Self::MethodNotAllowed(methods) = self
            && let Ok(value) = HeaderValue::try_from(methods.to_string())
        {
            headers.insert(header::ALLOW, value);
        }
        response
    }
}

//! The part of the match that is about requests which are not what their route takes.

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING},
};

use super::Words;
use crate::validation::Mistake;

/// Why a request is not valid, or why nobody can tell.
#[derive(Debug)]
pub(in super::super) enum Invalid {
    /// The body is of none of these media types.
    MediaType(HeaderValue),
    /// The body is compressed.
    Coding,
    /// Fields or parameters are missing or wrong.
    Head(Vec<Mistake>),
    /// The body is wrong.
    Body(Vec<Mistake>),
    /// There is no room for the body, or nobody to judge it, now.
    Overloaded,
    /// This node cannot judge by the route's schema.
    Unjudgeable,
}

impl Invalid {
    /// What a client is told.
    pub(super) fn words(&self) -> Words {
        let words = Words::new;
        match self {
            Self::MediaType(_) => words(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Unsupported media type",
                "This route does not take bodies of this type. The Accept field of this answer has those that it takes.",
                "http_request_error",
            ),
            Self::Coding => words(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_content_coding",
                "Unsupported content coding",
                "This route takes bodies as they are, not compressed.",
                "http_request_error",
            ),
            Self::Head(_) => words(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "Invalid request",
                "Fields or parameters of the request are not what this route takes.",
                "http_request_error",
            ),
            Self::Body(_) => words(
                StatusCode::BAD_REQUEST,
                "invalid_body",
                "Invalid body",
                "The body of the request is not what this route takes.",
                "http_request_error",
            ),
            Self::Overloaded => words(
                StatusCode::SERVICE_UNAVAILABLE,
                "validation_overloaded",
                "Too many bodies",
                "There is no room to validate the body of the request at the moment.",
                "connection_limit_reached",
            ),
            Self::Unjudgeable => words(
                StatusCode::SERVICE_UNAVAILABLE,
                "policy_unavailable",
                "Policy unavailable",
                "The route asks for a validation that this gateway cannot give.",
                "proxy_configuration_error",
            ),
        }
    }

    /// Each mistake.
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        match self {
            Self::Head(mistakes) | Self::Body(mistakes) => mistakes.clone(),
            Self::MediaType(_) | Self::Coding | Self::Overloaded | Self::Unjudgeable => Vec::new(),
        }
    }

    /// Says what would be taken (RFC 9110 15.5.16).
    pub(super) fn advise(&self, headers: &mut HeaderMap) {
        match self {
            Self::MediaType(taken) => drop(headers.insert(ACCEPT, taken.clone())),
            Self::Coding => drop(headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"))),
            Self::Head(_) | Self::Body(_) | Self::Overloaded | Self::Unjudgeable => {}
        }
    }
}

//! Problem details (RFC 9457): the one form in which either listener says no.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;

/// What went wrong, for a person and for a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct Problem<M = FieldError> {
    /// Identifies the kind; `about:blank` when `code` says it all.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The kind in words, the same for every occurrence.
    pub title: &'static str,
    /// The HTTP status.
    #[serde(serialize_with = "as_number")]
    #[schemars(with = "u16")]
    pub status: StatusCode,
    /// This occurrence in words. Constant for a 5xx: causes are logged, not told.
    pub detail: String,
    /// The target of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The kind for programs: stable, `snake_case`.
    pub code: &'static str,
    /// Finds the request in logs and outcomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The revision by which it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The limits that a request would have gone beyond.
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    #[schemars(skip)]
    pub violated_policies: Vec<String>,
    /// Each mistake of an invalid request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<M>,
}

/// One mistake in a request body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldError {
    /// Where, as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong there, and what would be right.
    pub detail: String,
    /// Where it stands in the text of a file, from 1, if the body is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The character of that line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
}

impl FieldError {
    /// A mistake in JSON.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
            line: None,
            column: None,
        }
    }

    /// The same in a text, at a line and a column if it has any.
    #[must_use]
    pub fn at(self, place: Option<(usize, usize)>) -> Self {
        let (line, column) = place.unzip();
        Self { line, column, ..self }
    }
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem with nothing but its kind and its words.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind: "about:blank",
            title,
            status,
            detail: detail.into(),
            instance: None,
            code,
            correlation_id: None,
            revision: None,
            violated_policies: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// With these mistakes.
    pub fn naming<M>(self, errors: Vec<M>) -> Problem<M> {
        Problem {
            kind: self.kind,
            title: self.title,
            status: self.status,
            detail: self.detail,
            instance: self.instance,
            code: self.code,
            correlation_id: self.correlation_id,
            violated_policies: self.violated_policies,
            revision: self.revision,
            errors,
        }
    }
}

impl<M: Serialize> Problem<M> {
    /// The response that carries it.
    pub fn into_response(self) -> Response<Bytes> {
        let body = serde_json::to_vec(&self).expect("a problem has string keys only");
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}

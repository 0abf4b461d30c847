//! The body of a write: how much of it is taken, for how long, and as what it is read.

use std::{error::Error as _, time::Duration};

use axum::body::{self, Bytes};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{error::Error, json};

/// How long a body may take to come.
const WITHIN: Duration = Duration::from_secs(30);

/// A body as it came.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    media_type: Option<HeaderValue>,
}

impl Body {
    /// Takes it in. One that says that it is too long is refused before it is sent.
    pub(super) async fn receive(headers: &HeaderMap, body: body::Body, limit: usize) -> Result<Self, Error> {
        let declared = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        if declared.is_some_and(|length: u64| length > limit as u64) {
            return Err(Error::BodyTooLarge { limit });
        }
        let received = tokio::time::timeout(WITHIN, body::to_bytes(body, limit)).await;
        let received =
            received.map_err(|_| Error::BodyMissing("the body did not come within 30 s".to_owned()))?;
        let bytes = received.map_err(|error| match error.source() {
            Some(source) if source.is::<LengthLimitError>() => Error::BodyTooLarge { limit },
            Some(_) | None => Error::BodyMissing(format!("the body broke off: {error}")),
        })?;
        Ok(Self {
            bytes,
            media_type: headers.get(header::CONTENT_TYPE).cloned(),
        })
    }

    /// As an object.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Error> {
        self.is_json()?;
        json::object(&self.bytes)
    }

    /// As a value of a type.
    pub(super) fn value<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.is_json()?;
        json::text(&self.bytes)
    }

    /// As the text of a configuration file, if it is one.
    pub(super) fn yaml(&self) -> Option<Result<&str, Error>> {
        let is_yaml = ["application/yaml", "application/x-yaml", "text/yaml"]
            .iter()
            .any(|media_type| self.is(media_type));
        is_yaml.then(|| {
            std::str::from_utf8(&self.bytes)
                .map_err(|error| Error::Malformed(format!("it is not UTF-8: {error}")))
        })
    }

    /// As a JSON Merge Patch (RFC 7396).
    pub(super) fn patch(&self) -> Result<Map<String, Value>, Error> {
        if !self.is("application/merge-patch+json") && !self.is("application/json") {
            return Err(Error::MediaType {
                expected: "application/merge-patch+json or application/json",
            });
        }
        json::object(&self.bytes)
    }

    fn is_json(&self) -> Result<(), Error> {
        let expected = "application/json";
        self.is(expected)
            .then_some(())
            .ok_or(Error::MediaType { expected })
    }

    /// Compares without parameters and without case (RFC 9110 8.3.1).
    fn is(&self, media_type: &str) -> bool {
        let field = self
            .media_type
            .as_ref()
            .and_then(|field| field.to_str().ok())
            .unwrap_or_default();
        let essence = field
            .split_once(';')
            .map_or(field, |(essence, _parameters)| essence);
        essence.trim().eq_ignore_ascii_case(media_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_is_compared_without_parameters_and_case() {
        let check = |field: &'static str, fits: bool| {
            let media_type = Some(HeaderValue::from_static(field));
            let body = Body {
                bytes: Bytes::from_static(b"{}"),
                media_type,
            };
            assert_eq!(body.object().is_ok(), fits, "{field}");
        };
        check("application/json", true);
        check("Application/JSON ; charset=utf-8", true);
        check("application/json-patch+json", false);
        check("text/plain", false);
        check("", false);
    }
}

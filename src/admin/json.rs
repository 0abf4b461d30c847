//! Reading JSON as strictly as it can be read: every mistake has a pointer (RFC 6901), and no key counts twice.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::Error;
use crate::{domain::refusal::pointer, problem::FieldError, unambiguous::Unambiguous};

/// An object, as sent.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Error> {
    let Unambiguous(value) = text(body)?;
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(invalid("", "this must be an object")),
    }
}

/// A value of a type, from JSON text.
pub(super) fn text<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path());
        let error = error.into_inner();
        if error.is_data() {
            invalid(pointer, error.to_string())
        } else {
            Error::Malformed(error.to_string())
        }
    })?;
    reader
        .end()
        .map_err(|error| Error::Malformed(error.to_string()))?;
    Ok(value)
}

/// A value of a type, from an object.
pub(super) fn value<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Error> {
    serde_path_to_error::deserialize(Value::Object(fields))
        .map_err(|error| invalid(pointer(error.path()), error.into_inner().to_string()))
}

/// The error of one mistake.
pub(super) fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Error {
    Error::Invalid(FieldError::new(pointer, detail))
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use flexgate_schemas::{Route, Upstream};

    use super::*;

    /// The pointer and the words of the one mistake.
    fn mistake<T: DeserializeOwned + fmt::Debug>(json: &str) -> (String, String) {
        match object(json.as_bytes()).and_then(value::<T>) {
            Err(Error::Invalid(error)) => (error.pointer, error.detail),
            other => panic!("{json}: {other:?}"),
        }
    }

    #[test]
    fn a_mistake_is_pointed_at() {
        let check = |json, pointer, words| {
            let (at, detail) = mistake::<Route>(json);
            assert_eq!(at, pointer, "{detail}");
            assert!(detail.contains(words), "{detail}");
        };
        check(
            r#"{"id":"a","path":"/","upstream":"u","rateLimt":{}}"#,
            "/rateLimt",
            "unknown field",
        );
        check(
            r#"{"id":"a","path":"/","upstream":"u","rateLimit":{"max":0,"window":1}}"#,
            "/rateLimit/max",
            "nonzero",
        );
        check(
            r#"{"id":"a","path":"/","upstream":"u","retries":{"attempts":1,"a/b~c":1}}"#,
            "/retries/a~1b~0c",
            "unknown field",
        );
        check(r#"{"id":"a","path":"/"}"#, "", "missing field `upstream`");
        check("[]", "", "an object");
    }

    #[test]
    fn a_mistake_in_a_list_is_pointed_at_too() {
        let (pointer, _) =
            mistake::<Upstream>(r#"{"name":"a","targets":[{"url":"http://x"},{"url":"ftp://y"}]}"#);
        assert_eq!(pointer, "/targets/1/url");
    }

    #[test]
    fn a_key_that_is_there_twice_is_refused() {
        let (pointer, detail) = mistake::<Route>(r#"{"match":{"x":1,"x":2}}"#);
        assert_eq!(
            (&*pointer, detail.contains("\"x\" is there twice")),
            ("/match", true),
            "{detail}"
        );
    }

    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        for text in ["", "{", "{}}", "nul"] {
            let error = object(text.as_bytes()).unwrap_err();
            assert!(
                matches!(&error, Error::Malformed(detail) if detail.contains("line 1")),
                "{text}: {error:?}"
            );
        }
    }
}

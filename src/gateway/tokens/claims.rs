//! What is made of the claims of a genuine token: who the caller is, whether that is enough, and what upstreams are told.

use flexgate_schemas::{TokenProvider, edits::EditedField, tokens::ClaimName};
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::verify::TokenFault;
use crate::gateway::values::field_value;

/// The longest name of a caller, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// The longest value of a field that is made of a claim, in bytes. A longer one is left out: half of it would say something else.
const FIELD_BYTES_MAX: usize = 4096;

type Claims = Map<String, Value>;

/// The caller: `<provider>:<sub>`.
pub(super) fn caller(provider: &TokenProvider, claims: &Claims) -> Result<Box<str>, TokenFault> {
    let subject = claims.get("sub").and_then(Value::as_str);
    let subject = subject.filter(|subject| !subject.is_empty() && !subject.chars().any(char::is_control));
    let name = format!("{}:{}", provider.name, subject.ok_or(TokenFault::NoSubject)?);
    if name.len() > NAME_BYTES_MAX {
        return Err(TokenFault::NoSubject);
    }
    Ok(name.into())
}

/// Whether the token lacks a claim, or has none of the values in one that it should.
pub(super) fn lacks_one(provider: &TokenProvider, claims: &Claims) -> bool {
    let mut required = provider.required_claims.iter();
    let lacks = |(name, values): &(&ClaimName, &Vec<Box<str>>)| {
        let is_one = |text: &str| values.iter().any(|value| **value == *text);
        let satisfies = |value: &Value| match value {
            // Scopes are one text with spaces in between (RFC 8693 4.2).
            Value::String(text) => is_one(text) || name.to_string() == "scope" && text.split(' ').any(is_one),
            Value::Number(_) | Value::Bool(_) => is_one(&value.to_string()),
            _ => false,
        };
        !match name.of(claims) {
            None | Some(Value::Null) => false,
            Some(_) if values.is_empty() => true,
            Some(Value::Array(list)) => list.iter().any(satisfies),
            Some(value) => satisfies(value),
        }
    };
    required.any(|one| lacks(&one))
}

/// What upstreams are told. A claim that is not there, or cannot be a field's value, is told by nothing: what a client sent
/// in that field is gone in any case.
pub(super) fn fields(provider: &TokenProvider, claims: &Claims) -> Box<[(HeaderName, HeaderValue)]> {
    let field = |(name, field): (&ClaimName, &EditedField)| {
        let text = text(name.of(claims)?)?;
        let fits = text.len() <= FIELD_BYTES_MAX;
        let value = field_value(text.as_bytes()).filter(|_| fits)?;
        Some((field.as_header().clone(), value))
    };
    provider.claims_to_headers.iter().filter_map(field).collect()
}

/// A list is its entries with commas in between, unless one has a comma itself and would pass for two.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Array(list) => {
            let entry = |entry: &Value| match entry {
                Value::Array(_) => None,
                entry => text(entry).filter(|text| !text.contains(',')),
            };
            Some(list.iter().map(entry).collect::<Option<Vec<_>>>()?.join(","))
        }
        Value::Null | Value::Object(_) => None,
    }
}

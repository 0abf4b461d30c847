//! What is wrong with a request, in words that hold nothing secret.

use std::borrow::Cow;

use jsonschema::{
    ValidationError,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use serde::Serialize;

/// The most bytes of a place within a body: the names on the way there are the client's.
const POINTER_BYTES_MAX: usize = 256;
const FURTHER_MEMBERS: &str = "has members that it must not have";

/// One mistake in a request. Values of the request are not in it: they may be secret, and end in logs of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// Where.
    #[serde(flatten)]
    pub at: Place,
    /// What is wrong there, or what would be right.
    pub detail: Cow<'static, str>,
}

/// A place in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// A header field, by name.
    Header(String),
    /// A query parameter, by name.
    Parameter(String),
    /// Within the body, as a JSON Pointer (RFC 6901); cut off if it is long.
    Pointer(String),
}

impl Mistake {
    /// A mistake within the body.
    pub(super) fn within(pointer: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        let end = pointer.floor_char_boundary(POINTER_BYTES_MAX);
        Self {
            at: Place::Pointer(pointer[..end].to_owned()),
            detail: detail.into(),
        }
    }
}

impl From<&ValidationError<'_>> for Mistake {
    fn from(error: &ValidationError<'_>) -> Self {
        Self::within(error.instance_path().as_str(), words(error))
    }
}

/// The rule that does not hold. What is named is the schema's, never the body's.
fn words(error: &ValidationError<'_>) -> Cow<'static, str> {
    let words = match error.kind() {
        Kind::Required { property } => format!("{property} is missing"),
        Kind::Type { kind: types } => match types {
            TypeKind::Single(only) => format!("must be of type {only}"),
            TypeKind::Multiple(types) => {
                let names: Vec<_> = types.iter().map(|one| one.to_string()).collect();
                format!("must be of one of the types {}", names.join(", "))
            }
        },
        Kind::Minimum { limit } => format!("must be at least {limit}"),
        Kind::Maximum { limit } => format!("must be at most {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        Kind::MultipleOf { multiple_of } => format!("must be a multiple of {multiple_of}"),
        Kind::MinLength { limit } => format!("must have at least {limit} characters"),
        Kind::MaxLength { limit } => format!("must have at most {limit} characters"),
        Kind::MinItems { limit } => format!("must have at least {limit} items"),
        Kind::MaxItems { limit } => format!("must have at most {limit} items"),
        Kind::MinProperties { limit } => format!("must have at least {limit} members"),
        Kind::MaxProperties { limit } => format!("must have at most {limit} members"),
        Kind::Format { format } => format!("must be in the format `{format}`"),
        Kind::AdditionalProperties { .. } | Kind::UnevaluatedProperties { .. } => {
            return Cow::Borrowed(FURTHER_MEMBERS);
        }
        Kind::FalseSchema if error.schema_path().as_str().ends_with("Properties") => {
            return Cow::Borrowed(FURTHER_MEMBERS);
        }
        Kind::UnevaluatedItems { .. } => return Cow::Borrowed("has items that it must not have"),
        Kind::UniqueItems => return Cow::Borrowed("has the same item twice"),
        Kind::FalseSchema => return Cow::Borrowed("must not be there"),
        other => format!("does not hold to the rule `{}`", other.keyword()),
    };
    Cow::Owned(words)
}

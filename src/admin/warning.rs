//! Warnings of a write, as they are answered.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::Warning;

/// Something that the caller may have meant otherwise.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Warning")]
pub(super) struct Notice {
    /// The kind for programs: stable, `snake_case`.
    code: &'static str,
    /// What it is, and what to do about it.
    detail: String,
}

impl Notice {
    /// A warning in words.
    pub(super) fn of(warning: &Warning) -> Self {
        Self {
            code: warning.code(),
            detail: warning.to_string(),
        }
    }
}

//! What the names of streams and subjects begin with, so that tests and tenants can share a server.

use std::{fmt, str::FromStr};

/// `FLEXGATE`: streams are `FLEXGATE_CONFIG`, subjects `flexgate.config...`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StreamPrefix(Box<str>);

impl StreamPrefix {
    /// The prefix as it was written, upper case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full name of a stream: `FLEXGATE_CONFIG` for `CONFIG`.
    pub fn stream(&self, name: &str) -> String {
        format!("{}_{name}", self.0)
    }

    /// The first token of every subject: `flexgate`.
    pub fn subject_root(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl Default for StreamPrefix {
    fn default() -> Self {
        Self("FLEXGATE".into())
    }
}

/// Upper case, so that two prefixes never share subjects and differ in streams.
impl FromStr for StreamPrefix {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
        if text.is_empty() || text.len() > 32 || !text.bytes().all(allowed) {
            return Err(format!("{text:?} is no prefix: 1 to 32 of A-Z, 0-9, `_` and `-`"));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for StreamPrefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

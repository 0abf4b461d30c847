//! `traceparent` of W3C Trace Context: which trace a request belongs to.

use std::{fmt, str::FromStr};

/// A valid `traceparent`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Traceparent(Box<str>);

/// It is not a `traceparent`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a traceparent: 00-<32 digits>-<16 digits>-<2 digits>, hexadecimal and in lower case")]
pub struct TraceparentError(Box<str>);

impl Traceparent {
    /// Whether this is a `traceparent` of version 00, or of a later one, of which only the beginning is known (3.2).
    pub fn is_valid(text: &[u8]) -> bool {
        if text.len() < 55 || text[2] != b'-' || text[35] != b'-' || text[52] != b'-' {
            return false;
        }
        let (version, trace, span, flags) = (&text[..2], &text[3..35], &text[36..52], &text[53..55]);
        let is_hex = |field: &[u8]| field.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_id = |field: &[u8]| is_hex(field) && field.iter().any(|byte| *byte != b'0');
        let ends = match version {
            b"ff" => false,
            b"00" => text.len() == 55,
            _ => text.len() == 55 || text[55] == b'-',
        };
        is_hex(version) && is_id(trace) && is_id(span) && is_hex(flags) && ends
    }

    /// The trace's id: 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.0[3..35] // ASCII up to there, and longer
    }
}

impl FromStr for Traceparent {
    type Err = TraceparentError;
    /// Of a later version only the beginning is kept.
    fn from_str(text: &str) -> Result<Self, TraceparentError> {
        if !Self::is_valid(text.as_bytes()) {
            return Err(TraceparentError(text.into()));
        }
        Ok(Self(text[..55].into()))
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

text_value!(
    Traceparent,
    "a W3C traceparent",
    "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_valid_as_the_standard_says() {
        let check = |text: &str, valid: bool| {
            let read: Result<Traceparent, _> = text.parse();
            assert_eq!(read.is_ok(), valid, "{text}");
            assert!(read.is_ok_and(|read| text.starts_with(&read.to_string())) == valid);
        };
        let [version, trace, span] = ["00", "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"];
        let (upper, none) = (trace.to_uppercase(), "0".repeat(32));
        check(&format!("{version}-{trace}-{span}-01"), true);
        check(&format!("{version}-{trace}-{span}-00"), true);
        check(&format!("cc-{trace}-{span}-01-what-comes-later"), true);
        check(&format!("{version}-{trace}-{span}-01-x"), false);
        check(&format!("cc-{trace}-{span}-01x"), false);
        check(&format!("ff-{trace}-{span}-01"), false);
        check(&format!("{version}-{upper}-{span}-01"), false);
        check(&format!("{version}-{none}-{span}-01"), false);
        check(&format!("{version}-{trace}-{}-01", &none[..16]), false);
        check(&format!("{version}-{trace}-{span}-0"), false);
        check("", false);
    }
}

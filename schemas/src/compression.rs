//! Whether responses are compressed on their way to the client.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Size;

/// Whether the gateway compresses responses that the upstream did not.
///
/// Where a response has both a secret and something that its reader's enemy chose, its compressed length gives the secret
/// away bit by bit (BREACH). So nobody's responses are compressed unless somebody says so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "Written")]
#[schemars(with = "Written")]
pub enum Compression {
    /// No, whatever the settings say.
    Off,
    /// Like this.
    On(Compressing),
}

/// How responses are compressed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Compressing {
    codings: Box<[Coding]>,
    min_size: Size,
}

/// A content coding (RFC 9110 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    /// Zstandard (RFC 8878): small and cheap, and known to newer clients.
    Zstd,
    /// Brotli (RFC 7932): a little smaller, for twice the work.
    Br,
    /// What every client knows (RFC 1952).
    Gzip,
}

impl Coding {
    /// As it is written in fields.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Br => "br",
            Self::Gzip => "gzip",
        }
    }
}

impl Compressing {
    /// The codings, best first: the order among those that a client likes equally. At least one.
    pub fn codings(&self) -> &[Coding] {
        &self.codings
    }

    /// The length from which on it is worth it.
    pub fn min_size(&self) -> Size {
        self.min_size
    }
}

/// [`Compression`] as it is written.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Compression", rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    /// Whether responses are compressed at all.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    enabled: bool,
    /// The codings, best first: the order among those that a client likes equally; zstd, br, gzip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3))]
    codings: Option<Vec<Coding>>,
    /// The length from which on it is worth it, where it is known; 1 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_size: Option<Size>,
}

/// Below a kilobyte the packet is not full either way.
fn min_size() -> Size {
    Size::try_from(1024).expect("1024 is a size")
}

fn yes() -> bool {
    true
}

fn is_true(flag: &bool) -> bool {
    *flag
}

impl TryFrom<Written> for Compression {
    type Error = &'static str;
    fn try_from(written: Written) -> Result<Self, &'static str> {
        if !written.enabled {
            return Ok(Self::Off);
        }
        let default = || vec![Coding::Zstd, Coding::Br, Coding::Gzip];
        let codings = written.codings.unwrap_or_else(default);
        if codings.is_empty() {
            return Err("the list of codings is empty: to compress nothing, say `enabled: false`");
        }
        let is_twice = |place: usize| codings[..place].contains(&codings[place]);
        if (0..codings.len()).any(is_twice) {
            return Err("a coding is listed twice");
        }
        Ok(Self::On(Compressing {
            codings: codings.into(),
            min_size: written.min_size.unwrap_or_else(min_size),
        }))
    }
}

impl From<Compression> for Written {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::Off => Self {
                enabled: false,
                codings: None,
                min_size: None,
            },
            Compression::On(how) => Self {
                enabled: true,
                codings: Some(how.codings.into()),
                min_size: Some(how.min_size),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_written_in_full() {
        let check = |json: &str, written: &str| {
            let compression: Compression = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&compression).unwrap(), written);
        };
        check("{}", r#"{"codings":["zstd","br","gzip"],"minSize":1024}"#);
        check(
            r#"{"enabled":true,"codings":["gzip"],"minSize":"1b"}"#,
            r#"{"codings":["gzip"],"minSize":1}"#,
        );
        check(r#"{"enabled":false,"codings":["gzip"]}"#, r#"{"enabled":false}"#);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for json in [
            r#"{"codings":[]}"#,
            r#"{"codings":["gzip","gzip"]}"#,
            r#"{"codings":["deflate"]}"#,
            r#"{"minSize":0}"#,
            r#"{"level":6}"#,
        ] {
            assert!(serde_json::from_str::<Compression>(json).is_err(), "{json}");
        }
    }
}

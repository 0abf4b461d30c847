//! Configuration files, as the log knows them: which of the entities are theirs.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{KeyId, RouteId, UpstreamId, chain};

/// By what a file is known again: its name without the folders before it, so that it is the same file wherever it lies.
/// 1 to 128 characters, none of them a control character or a slash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Box<str>);

impl FileName {
    /// The name of the file at a path.
    pub fn at(path: &str) -> Result<Self, &'static str> {
        path.rsplit('/').next().unwrap_or(path).parse()
    }
}

impl FromStr for FileName {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let is_odd = |c: char| c.is_control() || c == '/';
        if text.trim().is_empty() || text.chars().count() > 128 || text.chars().any(is_odd) {
            return Err(
                "the name of a file has 1 to 128 characters, none of them a slash or a control character",
            );
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

text_value!(
    FileName,
    "the name of a file, of 1 to 128 characters",
    r"^[^/\x00-\x1f\x7f]{1,128}$"
);

/// The SHA-256 of everything that a file says, whatever the order and the spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileDigest(Box<str>);

impl FileDigest {
    /// Of its canonical form.
    pub fn of(canonical: &[u8]) -> Self {
        Self(chain::hex(&chain::sha256(canonical)).into())
    }
}

impl FromStr for FileDigest {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 64 || !text.bytes().all(is_digit) {
            return Err("a digest is 64 hexadecimal digits");
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for FileDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

text_value!(FileDigest, "the SHA-256 of what a file says", "^[0-9a-f]{64}$");

/// The data of `file.applied.v1`: after the events before it in the same commit, the configuration is as the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileApplied {
    /// Which file.
    pub file: FileName,
    /// What it said.
    pub digest: FileDigest,
    /// What is its own from now on, with the values that are there now; beside what was its own before.
    #[serde(default, skip_serializing_if = "Entities::is_empty")]
    pub claims: Entities,
    /// What is its own no more.
    #[serde(default, skip_serializing_if = "Entities::is_empty")]
    pub releases: Entities,
}

/// The most entities of a kind that one event lists, so that it fits in a message however large the file is.
pub const LISTED_MAX: usize = 5_000;

impl FileApplied {
    /// The same in events that each list at most [`LISTED_MAX`] entities: to apply them one after the other in one commit
    /// comes to the same.
    pub fn in_pieces(self) -> Vec<Self> {
        let listed = |entities: &Entities| {
            let Entities {
                upstreams,
                routes,
                keys,
                settings: _,
            } = entities;
            upstreams.len() + routes.len() + keys.len()
        };
        if listed(&self.claims) + listed(&self.releases) <= LISTED_MAX {
            return vec![self];
        }
        let piece = |claims, releases| Self {
            file: self.file.clone(),
            digest: self.digest.clone(),
            claims,
            releases,
        };
        let none = Entities::default;
        let releases = self.releases.in_pieces();
        let claims = self.claims.in_pieces();
        (releases.into_iter().map(|releases| piece(none(), releases)))
            .chain(claims.into_iter().map(|claims| piece(claims, none())))
            .collect()
    }
}

/// Some of the entities of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entities {
    /// Upstreams, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<UpstreamId>,
    /// Routes, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteId>,
    /// Keys, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyId>,
    /// The settings.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settings: bool,
}

impl Entities {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn in_pieces(&self) -> Vec<Self> {
        let upstreams = self.upstreams.chunks(LISTED_MAX).map(|upstreams| Self {
            upstreams: upstreams.to_vec(),
            ..Self::default()
        });
        let routes = self.routes.chunks(LISTED_MAX).map(|routes| Self {
            routes: routes.to_vec(),
            ..Self::default()
        });
        let keys = self.keys.chunks(LISTED_MAX).map(|keys| Self {
            keys: keys.to_vec(),
            ..Self::default()
        });
        let settings = self.settings.then(|| Self {
            settings: true,
            ..Self::default()
        });
        upstreams.chain(routes).chain(keys).chain(settings).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_again_wherever_it_lies() {
        for path in ["proxy.yml", "./proxy.yml", "/etc/flexgate/proxy.yml"] {
            assert_eq!(FileName::at(path).unwrap().to_string(), "proxy.yml");
        }
        for path in ["", "/", "a\nb", "etc/"] {
            assert!(FileName::at(path).is_err(), "{path:?}");
        }
    }
}

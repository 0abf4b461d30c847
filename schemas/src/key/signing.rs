//! What a key signs requests with. A hash could not verify a signature, so the secret itself is kept: sealed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KeyId;
use crate::{Secret, Timestamp, base62, secret::Purpose};

/// What the secrets begin with: who finds one in a file knows what it is.
const PREFIX: &str = "fgs_";
/// The digits of 32 bytes.
const DIGITS: usize = 43;

/// The secrets that a key signs with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signing {
    /// The newest.
    pub secret: Secret,
    /// Earlier ones that are still valid, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = super::PREVIOUS_MAX))]
    pub previous: Vec<EarlierSigning>,
}

/// A secret that a newer one has replaced, and that is valid for a while all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EarlierSigning {
    /// It.
    pub secret: Secret,
    /// From when on nothing is verified with it.
    pub until: Timestamp,
}

impl Signing {
    /// The same with another secret. Those that it had are valid until then at the longest.
    pub(super) fn rotated(self, secret: Secret, at: Timestamp, until: Timestamp) -> Self {
        let replaced = EarlierSigning {
            secret: self.secret,
            until,
        };
        let earlier = self.previous.into_iter().map(|earlier| EarlierSigning {
            until: earlier.until.min(until),
            ..earlier
        });
        let all = std::iter::once(replaced).chain(earlier);
        Self {
            secret,
            previous: all.filter(|earlier| earlier.until > at).collect(),
        }
    }
}

/// A new secret, as its client signs with it: the text is the key, to the letter.
pub fn made_of(random: &[u8; 32]) -> String {
    let digits: [u8; DIGITS] = base62::digits(random);
    PREFIX.chars().chain(digits.map(char::from)).collect()
}

/// What a secret of this key is sealed for.
pub fn purpose(id: &KeyId) -> Purpose<'_> {
    Purpose::Signing(id.as_str())
}

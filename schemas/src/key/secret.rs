//! The secrets of API keys, of which only the hash is ever kept.

use std::{fmt, str::FromStr};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::KeyId;
use crate::{
    base62,
    chain::{hex, sha256},
};

/// What the secrets begin with that FlexGate makes: whoever finds one in a file knows what it opens.
const PREFIX: &str = "fg_";
/// The digits of 32 bytes.
const SECRET_DIGITS: usize = 43;

/// A new secret as its client sends it: `fg_<id>_<43 digits>`. To be shown once, and kept nowhere.
pub fn made_of(id: KeyId, random: &[u8; 32]) -> String {
    let digits: [u8; SECRET_DIGITS] = base62::digits(random);
    format!(
        "{PREFIX}{id}_{}",
        digits.map(char::from).iter().collect::<String>()
    )
}

/// Whether this looks like a secret that FlexGate made.
pub fn is_ours(sent: &[u8]) -> bool {
    sent.starts_with(PREFIX.as_bytes())
}

/// Whose secret this says it is, if it says so.
pub fn claimed_id(sent: &[u8]) -> Option<KeyId> {
    let rest = sent.strip_prefix(PREFIX.as_bytes())?;
    let end = rest.iter().position(|byte| *byte == b'_')?;
    rest[..end].try_into().ok()
}

/// The SHA-256 of a secret. Written as hexadecimal in the log, and by nothing that is meant to be read: it cannot be displayed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash([u8; 32]);

/// Why a string is no hash. Never repeats it: it may be the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not the SHA-256 of a key, which has 64 hexadecimal digits: a key never stands anywhere in the clear. Hash it with `printf %s \"$KEY\" | sha256sum`"
)]
pub struct SecretHashError;

impl SecretHash {
    /// The hash of what a client sends.
    pub fn of(sent: &[u8]) -> Self {
        Self(sha256(sent))
    }

    /// The id of a key whose secret says nothing of one.
    pub fn derived_id(&self) -> KeyId {
        KeyId::made_of(&self.0)
    }

    /// Whether it is the same. Takes as long if it differs, wherever it does.
    pub fn matches(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl FromStr for SecretHash {
    type Err = SecretHashError;
    fn from_str(text: &str) -> Result<Self, SecretHashError> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(SecretHashError);
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = 16 * value(*high)? + value(*low)?;
        }
        Ok(Self(bytes))
    }
}

fn value(digit: u8) -> Result<u8, SecretHashError> {
    let value = char::from(digit).to_digit(16).ok_or(SecretHashError)?;
    u8::try_from(value).map_err(|_| SecretHashError)
}

/// Nothing of it.
impl fmt::Debug for SecretHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SecretHash(..)")
    }
}

impl Serialize for SecretHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for SecretHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = SecretHash;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("the SHA-256 of a key, in hexadecimal")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretHash, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl schemars::JsonSchema for SecretHash {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretHash".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "the SHA-256 of the secret of a key",
            "pattern": "^[0-9a-fA-F]{64}$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_says_whose_it_is() {
        let id: KeyId = "7Kx2mPq9RtZa".parse().unwrap();
        let secret = made_of(id, &[7; 32]);
        assert_eq!(secret.len(), 59);
        assert!(is_ours(secret.as_bytes()));
        assert_eq!(claimed_id(secret.as_bytes()), Some(id));
        for other in [
            "",
            "fg_",
            "fg_7Kx2mPq9RtZa",
            "fg_7Kx2mPq9RtZ_a",
            "hunter2",
            "FG_7Kx2mPq9RtZa_x",
        ] {
            assert_eq!(claimed_id(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_hash_is_written_in_events_and_shown_nowhere() {
        // printf %s hunter2 | sha256sum
        let written = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";
        let hash = SecretHash::of(b"hunter2");
        assert_eq!(written.parse(), Ok(hash));
        assert_eq!(written.to_uppercase().parse(), Ok(hash));
        assert_eq!(serde_json::to_value(hash).unwrap(), written);
        assert_eq!(format!("{hash:?}"), "SecretHash(..)");
        assert!(hash.matches(&hash) && !hash.matches(&SecretHash::of(b"hunter3")));
    }

    #[test]
    fn what_is_no_hash_is_refused_and_not_repeated() {
        for text in ["hunter2", "", &"f".repeat(63), &"g".repeat(64), &"f".repeat(66)] {
            let error = serde_json::from_value::<SecretHash>(text.into())
                .unwrap_err()
                .to_string();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }
}

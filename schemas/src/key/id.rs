//! The id of an API key: held inline, since there may be a million of them.

use std::{fmt, str::FromStr};

use crate::base62;

/// How many digits an id has.
const DIGITS: usize = 12;

/// An API key, for as long as it exists; its secrets may change. 12 digits in base 62, which nobody chooses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; DIGITS]);

/// Why a string is not the id of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a key is {DIGITS} letters and digits")]
pub struct KeyIdError;

impl KeyId {
    /// The id made of random bytes, or of the hash of a secret that says nothing of an id.
    pub fn made_of(bytes: &[u8; 32]) -> Self {
        Self(base62::digits(bytes))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("letters and digits")
    }
}

impl TryFrom<&[u8]> for KeyId {
    type Error = KeyIdError;
    fn try_from(text: &[u8]) -> Result<Self, KeyIdError> {
        let digits = text.try_into().map_err(|_| KeyIdError)?;
        base62::are_digits(text).then_some(Self(digits)).ok_or(KeyIdError)
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;
    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        text.as_bytes().try_into()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), out)
    }
}

/// The order of ids is the order of their texts.
impl std::borrow::Borrow<str> for KeyId {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

text_value!(KeyId, "the id of an API key", "^[0-9A-Za-z]{12}$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_length_and_no_other_characters() {
        assert_eq!("7Kx2mPq9RtZa".parse::<KeyId>().unwrap().as_str(), "7Kx2mPq9RtZa");
        for text in [
            "",
            "7Kx2mPq9RtZ",
            "7Kx2mPq9RtZaa",
            "7Kx2mPq9Rt-a",
            "7Kx2mPq9RtZ\u{e4}",
        ] {
            assert_eq!(text.parse::<KeyId>(), Err(KeyIdError), "{text}");
        }
        assert_eq!(KeyId::made_of(&[0xff; 32]).as_str(), "zzzzzzzzzzzz");
    }
}

//! User names and passwords (RFC 7617) that stand for keys. Of a password nothing is kept but a hash that takes long to compute.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest user name, in bytes.
const USERNAME_BYTES_MAX: usize = 128;
/// The longest password, in bytes: it is hashed before anything is known of whoever sends it.
pub const PASSWORD_BYTES_MAX: usize = 512;
/// The most memory that one verification takes, in KiB.
pub const MEMORY_MAX: u32 = 64 * 1024;
/// The most work that one verification is, in KiB that are gone through: some 200 ms of a core.
pub const WORK_MAX: u64 = 4 * MEMORY_MAX as u64;
/// The most lanes. They are gone through one after the other.
const LANES_MAX: u32 = 4;

/// By what a client proves that it has a key, beside the key's secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Basic {
    /// What it calls itself. No two keys have the same.
    pub username: Username,
    /// The hash of its password.
    pub password_hash: PasswordHash,
}

/// What a client calls itself: 1 to 128 bytes of UTF-8 without a colon and without control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Username(Box<str>);

impl Username {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Username {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let fits = (1..=USERNAME_BYTES_MAX).contains(&text.len());
        if !fits || text.contains(|c: char| c == ':' || c.is_control()) {
            return Err("a user name has 1 to 128 bytes, none of them a colon or a control character");
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Username {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

text_value!(Username, "a user name", r"^[^:\x00-\x1f\x7f]{1,128}$");

/// Argon2id (RFC 9106) of a password, as a PHC string: `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`. Written in the log, and by
/// nothing that is meant to be read: it cannot be displayed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Box<str>);

/// What it takes to verify a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argon2id {
    /// In KiB, at most [`MEMORY_MAX`].
    pub memory: u32,
    /// How often that is gone through.
    pub passes: u32,
    /// 1 to 4.
    pub lanes: u32,
    /// 8 to 48 bytes.
    pub salt: Vec<u8>,
    /// 16 to 64 bytes.
    pub hash: Vec<u8>,
}

/// Why a string is no such hash. Never repeats it: it may be the password itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordHashError {
    /// It is something else.
    #[error(
        "this is not the hash of a password, `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>` in base64: a password never stands anywhere in the clear"
    )]
    Form,
    /// Whoever sends a password could keep the gateway busy.
    #[error(
        "to verify this hash takes too much: at most 65536 KiB of memory (m), 262144 KiB gone through (m times t), and 4 lanes (p)"
    )]
    Cost,
}

impl PasswordHash {
    /// As it is written. A secret.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What it says.
    pub fn parts(&self) -> Argon2id {
        Argon2id::read(&self.0).expect("nothing else is made into one")
    }
}

impl Argon2id {
    fn read(text: &str) -> Result<Self, PasswordHashError> {
        let form = PasswordHashError::Form;
        let rest = text.strip_prefix("$argon2id$v=19$").ok_or(form)?;
        let mut parts = rest.split('$');
        let (Some(cost), Some(salt), Some(hash), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(form);
        };
        let mut cost = cost.split(',');
        let mut number = |name: &str| -> Result<u32, PasswordHashError> {
            let digits = cost.next().and_then(|part| part.strip_prefix(name)).ok_or(form)?;
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| is_number).ok_or(form)
        };
        let (memory, passes, lanes) = (number("m=")?, number("t=")?, number("p=")?);
        let bytes = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| form);
        let (salt, hash) = (bytes(salt)?, bytes(hash)?);
        let fits = (8..=48).contains(&salt.len()) && (16..=64).contains(&hash.len());
        if cost.next().is_some() || !fits || passes == 0 || lanes == 0 || memory < 8 * lanes.min(LANES_MAX) {
            return Err(form);
        }
        let work = u64::from(memory) * u64::from(passes);
        if memory > MEMORY_MAX || work > WORK_MAX || lanes > LANES_MAX {
            return Err(PasswordHashError::Cost);
        }
        Ok(Self {
            memory,
            passes,
            lanes,
            salt,
            hash,
        })
    }
}

impl TryFrom<&Argon2id> for PasswordHash {
    type Error = PasswordHashError;
    fn try_from(parts: &Argon2id) -> Result<Self, PasswordHashError> {
        let Argon2id {
            memory,
            passes,
            lanes,
            salt,
            hash,
        } = parts;
        let [salt, hash] = [salt, hash].map(|bytes| STANDARD_NO_PAD.encode(bytes));
        format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}").parse()
    }
}

impl FromStr for PasswordHash {
    type Err = PasswordHashError;
    fn from_str(text: &str) -> Result<Self, PasswordHashError> {
        Argon2id::read(text).map(|_| Self(text.into()))
    }
}

/// Nothing of it.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PasswordHash(..)")
    }
}

impl Serialize for PasswordHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PasswordHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = PasswordHash;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("the hash of a password")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<PasswordHash, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for PasswordHash {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PasswordHash".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Argon2id of a password, as a PHC string",
            "pattern": r"^\$argon2id\$v=19\$m=[0-9]{1,5},t=[0-9]{1,6},p=[1-4]\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: &str = "c29tZXNhbHQ";
    const HASH: &str = "AAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn a_hash_is_taken_if_it_is_one_and_does_not_cost_too_much() {
        let check = |cost: &str, expected: Result<(u32, u32, u32), PasswordHashError>| {
            let read = format!("$argon2id$v=19${cost}${SALT}${HASH}").parse::<PasswordHash>();
            let parts = read.as_ref().map(PasswordHash::parts);
            let numbers = parts.map(|parts| (parts.memory, parts.passes, parts.lanes));
            assert_eq!(numbers.map_err(|error| *error), expected, "{cost}");
        };
        check("m=19456,t=2,p=1", Ok((19_456, 2, 1)));
        check("m=65536,t=4,p=4", Ok((65_536, 4, 4)));
        check("m=8,t=32768,p=1", Ok((8, 32_768, 1)));
        check("m=65537,t=1,p=1", Err(PasswordHashError::Cost));
        check("m=65536,t=5,p=4", Err(PasswordHashError::Cost));
        check("m=4294967295,t=4294967295,p=1", Err(PasswordHashError::Cost));
        check("m=64,t=1,p=5", Err(PasswordHashError::Cost));
        for wrong in [
            "m=7,t=1,p=1",
            "m=8,t=0,p=1",
            "m=8,t=1,p=0",
            "m=8,t=+1,p=1",
            "t=1,m=8,p=1",
            "m=8,t=1",
            "m=8,t=1,p=1,x=1",
        ] {
            check(wrong, Err(PasswordHashError::Form));
        }
    }

    #[test]
    fn a_hash_is_written_as_it_was_read_and_shown_nowhere() {
        let text = format!("$argon2id$v=19$m=8,t=1,p=1${SALT}${HASH}");
        let hash: PasswordHash = text.parse().unwrap();
        assert_eq!(serde_json::to_value(&hash).unwrap(), text);
        assert_eq!(PasswordHash::try_from(&hash.parts()).unwrap(), hash);
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
        for other in [
            "hunter2",
            "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAA",
            "$2b$10$hunter2",
            "",
        ] {
            let error = serde_json::from_value::<PasswordHash>(other.into())
                .unwrap_err()
                .to_string();
            assert!(other.is_empty() || !error.contains(other), "{error}");
        }
    }

    #[test]
    fn a_user_name_has_no_colon() {
        for (name, is_one) in [
            ("ada", true),
            ("Ada Lovelace", true),
            ("ädä", true),
            ("", false),
            ("a:b", false),
            ("a\n", false),
        ] {
            assert_eq!(name.parse::<Username>().is_ok(), is_one, "{name}");
        }
        assert!("a".repeat(129).parse::<Username>().is_err());
    }
}

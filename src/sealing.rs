//! Sealing: secrets that stand in the log and can be read only by who has the key.
//!
//! AES-256-GCM with random nonces, under a key that operators give to every node. What a secret is for is authenticated
//! with it. Under one key 2^32 secrets may be sealed before a nonce is likely to come twice (NIST SP 800-38D 8.3).

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, digest},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use flexgate_schemas::secret::{Purpose, Sealed, SealingKeyId};

/// The length of a key in bytes.
const KEY_BYTES: usize = 32;
/// What the id of a key is worked out of, so that it is the hash of nothing else.
const ID_CONTEXT: &[u8] = b"flexgate sealing key id\n";

/// The keys of this node: the first seals, each opens what it sealed. Shows itself to nobody.
pub struct SealingKeys(Vec<SealingKey>);

struct SealingKey {
    id: SealingKeyId,
    key: LessSafeKey,
}

/// Why something is no key. Never repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither base64 nor hexadecimal.
    #[error("a key is written in base64 or in hexadecimal; `flexgate secrets key` makes one")]
    Encoding,
    /// Of another length.
    #[error("a key has {KEY_BYTES} bytes, this one has {0}; `flexgate secrets key` makes one")]
    Length(usize),
    /// Nothing is there.
    #[error("there is no key; `flexgate secrets key` makes one")]
    None,
}

/// Why nothing was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The secret is empty, or too long to be one.
    #[error("a secret has 1 to 65536 bytes")]
    Length,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
}

/// Why something cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// This node does not have the key.
    #[error(
        "it was sealed with a key that this node does not have; give it that key with FLEXGATE_SECRET_KEY"
    )]
    Key,
    /// It was changed, or sealed for something else.
    #[error("it was not sealed to be used here")]
    Purpose,
}

impl SealingKeys {
    /// Keys as they are written down: separated by commas or white space, each in base64 or hexadecimal.
    pub fn read(text: &str) -> Result<Self, KeyError> {
        let words = text.split(|c: char| c == ',' || c.is_whitespace());
        let words = words.filter(|word| !word.is_empty());
        let keys: Vec<_> = words.map(SealingKey::read).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            Err(KeyError::None)
        } else {
            Ok(Self(keys))
        }
    }

    /// A new key, as it is written down; none if the system gives no random bytes.
    pub fn make() -> Option<String> {
        let mut key = [0; KEY_BYTES];
        aws_lc_rs::rand::fill(&mut key).ok()?;
        Some(STANDARD.encode(key))
    }

    /// Seals a secret for one purpose.
    pub fn seal(&self, secret: &str, purpose: Purpose<'_>) -> Result<Sealed, SealError> {
        let SealingKey { id, key } = self.0.first().expect("there is at least one: see `read`");
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| SealError::Random)?;
        let mut sealed = secret.as_bytes().to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(purpose.to_string()),
            &mut sealed,
        )
        .map_err(|_| SealError::Length)?; // all else that it refuses is longer still
        let empty = secret.is_empty();
        let bytes = [&nonce[..], &sealed].concat();
        (!empty)
            .then(|| Sealed::new(*id, &bytes))
            .flatten()
            .ok_or(SealError::Length)
    }

    /// The secret, if it was sealed with one of these keys and for this purpose.
    pub fn open(&self, sealed: &Sealed, purpose: Purpose<'_>) -> Result<String, OpenError> {
        let mut keys = self.0.iter().filter(|key| key.id == sealed.key()).peekable();
        keys.peek().ok_or(OpenError::Key)?;
        let bytes = sealed.bytes();
        let (nonce, text) = bytes.split_at_checked(NONCE_LEN).ok_or(OpenError::Purpose)?;
        keys.find_map(|SealingKey { key, .. }| {
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut text = text.to_vec();
            let opened = key
                .open_in_place(nonce, Aad::from(purpose.to_string()), &mut text)
                .ok()?;
            String::from_utf8(opened.to_vec()).ok()
        })
        .ok_or(OpenError::Purpose)
    }
}

impl SealingKey {
    fn read(text: &str) -> Result<Self, KeyError> {
        let bytes = decoded(text).ok_or(KeyError::Encoding)?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| KeyError::Length(bytes.len()))?;
        let hash = digest(&SHA256, &[ID_CONTEXT, &bytes].concat());
        let id = hash.as_ref().first_chunk().expect("a SHA-256 has 32 bytes");
        Ok(Self {
            id: SealingKeyId::new(*id),
            key: LessSafeKey::new(key),
        })
    }
}

/// What is 64 hexadecimal digits is not read as base64, which it would be too.
fn decoded(text: &str) -> Option<Vec<u8>> {
    if text.len() == 2 * KEY_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let byte = |place: usize| u8::from_str_radix(&text[place..place + 2], 16).ok();
        return (0..text.len()).step_by(2).map(byte).collect();
    }
    STANDARD.decode(text).ok()
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.0.iter().map(|key| key.id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(count: usize) -> Vec<String> {
        (0..count).map(|_| SealingKeys::make().unwrap()).collect()
    }

    fn read(keys: &[String]) -> SealingKeys {
        SealingKeys::read(&keys.join(",")).unwrap()
    }

    #[test]
    fn what_one_key_seals_every_node_with_that_key_opens() {
        let (old, new) = (&keys(1)[..], &keys(1)[..]);
        let sealed = read(old).seal("hunter2", Purpose::Upstream).unwrap();
        let rotated = read(&[new, old].concat());
        assert_eq!(rotated.open(&sealed, Purpose::Upstream).unwrap(), "hunter2");
        assert_eq!(read(new).open(&sealed, Purpose::Upstream), Err(OpenError::Key));

        let sealed = rotated.seal("hunter2", Purpose::Upstream).unwrap();
        assert_eq!(read(new).open(&sealed, Purpose::Upstream).unwrap(), "hunter2");
    }

    #[test]
    fn what_is_sealed_for_one_purpose_is_nothing_for_another() {
        let keys = read(&keys(1));
        let sealed = keys.seal("hunter2", Purpose::Signing("a")).unwrap();
        for other in [Purpose::Signing("b"), Purpose::Upstream, Purpose::Tokens] {
            assert_eq!(keys.open(&sealed, other), Err(OpenError::Purpose));
        }
    }

    #[test]
    fn a_key_is_32_bytes_in_base64_or_hexadecimal_and_shows_itself_to_nobody() {
        let bytes = [7; KEY_BYTES];
        let hexadecimal = "07".repeat(KEY_BYTES);
        let base64 = STANDARD.encode(bytes);
        let both = SealingKeys::read(&format!("{hexadecimal}\n{base64}\n")).unwrap();
        assert_eq!(both.0[0].id, both.0[1].id);
        assert!(!format!("{both:?}").contains(&base64[..8]));

        let refused = |text: &str| SealingKeys::read(text).unwrap_err();
        assert_eq!(refused(" ,\n"), KeyError::None);
        assert_eq!(refused(&STANDARD.encode([7; 31])), KeyError::Length(31));
        assert_eq!(refused("correct horse"), KeyError::Encoding);
    }

    #[test]
    fn nothing_is_no_secret() {
        let keys = read(&keys(1));
        assert_eq!(keys.seal("", Purpose::Upstream), Err(SealError::Length));
        let long = "x".repeat(65 * 1024);
        assert_eq!(keys.seal(&long, Purpose::Upstream), Err(SealError::Length));
    }

    proptest! {
        #[test]
        fn a_sealed_secret_that_was_changed_anywhere_does_not_open(
            secret in ".{1,80}",
            place in any::<prop::sample::Index>(),
            change in 1..=255_u8,
        ) {
            let keys = read(&keys(1));
            let sealed = keys.seal(&secret, Purpose::Tokens).unwrap();
            prop_assert_eq!(keys.open(&sealed, Purpose::Tokens).unwrap(), secret);
            let mut bytes = sealed.bytes();
            let place = place.index(bytes.len());
            bytes[place] ^= change;
            let changed = Sealed::new(sealed.key(), &bytes).unwrap();
            prop_assert_eq!(keys.open(&changed, Purpose::Tokens), Err(OpenError::Purpose));
        }
    }
}

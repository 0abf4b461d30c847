//! What tokens are verified with: a secret, or public keys. Never both, or who has a public key could sign with it.

use std::{collections::BTreeSet, fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Secret, UpstreamUrl};

/// The most keys of a provider that are written down.
pub(super) const KEYS_MAX: usize = 16;
/// The longest id of a key, in bytes.
const KID_BYTES_MAX: usize = 256;

/// What a token is signed with (RFC 7518 3.1, RFC 8037 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum TokenAlgorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// What a key is a key of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// Bytes that both sides know.
    Secret,
    /// RSA.
    Rsa,
    /// The curve P-256.
    P256,
    /// The curve P-384.
    P384,
    /// The curve Ed25519.
    Ed25519,
}

/// Where a provider's keys are, with the algorithms that they are used with. Nothing else is ever taken.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// Secrets that the provider shares with us.
    Shared(Vec<TokenAlgorithm>, Vec<Named<Secret>>),
    /// Public keys.
    Public(Vec<TokenAlgorithm>, Vec<Named<PublicKey>>),
    /// Public keys that are where the provider publishes them.
    Published(Vec<TokenAlgorithm>, UpstreamUrl),
}

/// A key, and the id by which tokens name it, if they do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Named<K> {
    /// `kid`.
    pub kid: Option<Box<str>>,
    /// The key.
    pub key: K,
}

/// A public key in PEM (RFC 7468 13).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    kind: KeyKind,
    /// What the PEM has in it, in base64.
    text: Box<str>,
}

/// A key as it is written: a secret or a public one.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, rename = "TokenKey")]
#[schemars(rename = "TokenKey")]
pub(super) struct GivenKey {
    /// The id by which tokens name it; without one it is tried for those that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = KID_BYTES_MAX))]
    kid: Option<Box<str>>,
    /// What HS256, HS384 and HS512 are verified with; sealed for `tokens`, if it is sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Secret>,
    /// What all others are verified with: a public key in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_key: Option<PublicKey>,
}

/// Why nothing can be verified with that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySourceError {
    /// No algorithm is pinned.
    #[error("`algorithms` says what tokens may be signed with, and is never empty")]
    NoAlgorithm,
    /// What is public would be taken for a secret.
    #[error("{0:?} and {1:?} do not go together: one is verified with a secret, the other with a public key")]
    Mixed(TokenAlgorithm, TokenAlgorithm),
    /// Both places, or none.
    #[error("a provider has either `jwksUrl` or `keys`")]
    Place,
    /// A shared secret that would have to be public.
    #[error("{0:?} is verified with a secret, which no JWK Set has: give `keys`, each with its `secret`")]
    PublishedSecret(TokenAlgorithm),
    /// Too many keys.
    #[error("a provider has at most {KEYS_MAX} `keys`; more of them are for `jwksUrl`")]
    TooMany,
    /// A key that no algorithm uses.
    #[error("key {0} is of no use: {1}")]
    Unfit(usize, &'static str),
    /// An id that no token can name.
    #[error("`kid` has 1 to {KID_BYTES_MAX} bytes")]
    Kid,
    /// Keys that cannot be told apart.
    #[error("two keys have the id {0:?}")]
    KidTwice(Box<str>),
}

impl TokenAlgorithm {
    /// What it is verified with.
    pub fn kind(self) -> KeyKind {
        match self {
            Self::HS256 | Self::HS384 | Self::HS512 => KeyKind::Secret,
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512 => KeyKind::Rsa,
            Self::ES256 => KeyKind::P256,
            Self::ES384 => KeyKind::P384,
            Self::EdDSA => KeyKind::Ed25519,
        }
    }
}

impl KeySource {
    /// The algorithms that are taken, and no others.
    pub fn algorithms(&self) -> &[TokenAlgorithm] {
        match self {
            Self::Shared(algorithms, _) | Self::Public(algorithms, _) | Self::Published(algorithms, _) => {
                algorithms
            }
        }
    }

    pub(super) fn of(
        algorithms: Vec<TokenAlgorithm>,
        url: Option<UpstreamUrl>,
        keys: Vec<GivenKey>,
    ) -> Result<Self, KeySourceError> {
        let first = *algorithms.first().ok_or(KeySourceError::NoAlgorithm)?;
        let is_shared = |algorithm: TokenAlgorithm| algorithm.kind() == KeyKind::Secret;
        if let Some(other) = algorithms
            .iter()
            .find(|other| is_shared(**other) != is_shared(first))
        {
            return Err(KeySourceError::Mixed(first, *other));
        }
        if keys.len() > KEYS_MAX {
            return Err(KeySourceError::TooMany);
        }
        check_ids(&keys)?;
        match (url, keys.is_empty()) {
            (Some(_), true) if is_shared(first) => Err(KeySourceError::PublishedSecret(first)),
            (Some(url), true) => Ok(Self::Published(algorithms, url)),
            (None, false) if is_shared(first) => {
                let keys = named(keys, |key| match (key.secret, key.public_key) {
                    (Some(secret), None) => Ok(secret),
                    _ => Err("`algorithms` are verified with a `secret`"),
                })?;
                Ok(Self::Shared(algorithms, keys))
            }
            (None, false) => {
                let keys = named(keys, |key| match (key.secret, key.public_key) {
                    (None, Some(key)) if algorithms.iter().any(|one| one.kind() == key.kind) => Ok(key),
                    (None, Some(_)) => Err("none of `algorithms` is verified with such a key"),
                    _ => Err("`algorithms` are verified with a `publicKey`"),
                })?;
                Ok(Self::Public(algorithms, keys))
            }
            _ => Err(KeySourceError::Place),
        }
    }

    pub(super) fn written(self) -> (Vec<TokenAlgorithm>, Option<UpstreamUrl>, Vec<GivenKey>) {
        let given = |kid, secret, public_key| GivenKey {
            kid,
            secret,
            public_key,
        };
        match self {
            Self::Shared(algorithms, keys) => {
                let keys = keys.into_iter();
                let keys = keys.map(|named| given(named.kid, Some(named.key), None));
                (algorithms, None, keys.collect())
            }
            Self::Public(algorithms, keys) => {
                let keys = keys.into_iter();
                let keys = keys.map(|named| given(named.kid, None, Some(named.key)));
                (algorithms, None, keys.collect())
            }
            Self::Published(algorithms, url) => (algorithms, Some(url), Vec::new()),
        }
    }
}

fn check_ids(keys: &[GivenKey]) -> Result<(), KeySourceError> {
    let mut seen = BTreeSet::new();
    for kid in keys.iter().filter_map(|key| key.kid.as_ref()) {
        if !(1..=KID_BYTES_MAX).contains(&kid.len()) {
            return Err(KeySourceError::Kid);
        }
        if !seen.insert(kid) {
            return Err(KeySourceError::KidTwice(kid.clone()));
        }
    }
    Ok(())
}

fn named<K>(
    keys: Vec<GivenKey>,
    key: impl Fn(GivenKey) -> Result<K, &'static str>,
) -> Result<Vec<Named<K>>, KeySourceError> {
    let named = |(place, given): (usize, GivenKey)| {
        let kid = given.kid.clone();
        let key = key(given).map_err(|reason| KeySourceError::Unfit(place + 1, reason))?;
        Ok(Named { kid, key })
    };
    keys.into_iter().enumerate().map(named).collect()
}

/// What the key of a kind begins with: its `AlgorithmIdentifier` (RFC 3279 2.3, RFC 5480 2.1.1, RFC 8410 3).
const IDENTIFIERS: [(KeyKind, &[u8]); 4] = [
    (
        KeyKind::Rsa,
        b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00",
    ),
    (
        KeyKind::P256,
        b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
    ),
    (
        KeyKind::P384,
        b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22",
    ),
    (KeyKind::Ed25519, b"\x30\x05\x06\x03\x2b\x65\x70"),
];
const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";
/// The longest key in DER, in bytes: RSA with 8192 bits has 1,062.
const DER_BYTES_MAX: usize = 2048;

/// Why a text is no public key. Never repeats it: it may be a private one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a public key is PEM that begins with `{BEGIN}`: RSA, P-256, P-384 or Ed25519, as `openssl pkey -pubout` prints it"
)]
pub struct PublicKeyError;

impl PublicKey {
    /// What it is a key of.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key itself: an `RSAPublicKey` in DER, an uncompressed point, or 32 bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let der = STANDARD.decode(&*self.text).unwrap_or_default();
        split(&der).map_or_else(Vec::new, |(_, key)| key.to_vec()) // it was read in full before it was kept
    }
}

/// The parts of a `SubjectPublicKeyInfo` (RFC 5280 4.1) of one of the kinds.
fn split(der: &[u8]) -> Option<(KeyKind, &[u8])> {
    let content = value(der, 0x30)?;
    let (kind, identifier) = IDENTIFIERS.iter().find(|(_, id)| content.starts_with(id))?;
    let key = value(&content[identifier.len()..], 0x03)?.strip_prefix(&[0])?; // no unused bits
    Some((*kind, key))
}

/// The content of a value in DER that has this tag and is all there is.
fn value(der: &[u8], tag: u8) -> Option<&[u8]> {
    let (length, content) = match der.strip_prefix(&[tag])? {
        [0x82, high, low, content @ ..] => (usize::from(*high) << 8 | usize::from(*low), content),
        [0x81, length, content @ ..] | [length @ ..=0x7f, content @ ..] => (usize::from(*length), content),
        _ => return None,
    };
    (content.len() == length).then_some(content)
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;
    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        let inner = text
            .trim()
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.strip_suffix(END));
        let inner = inner.ok_or(PublicKeyError)?.split_ascii_whitespace();
        let text: String = inner.collect();
        let der = STANDARD.decode(&text).map_err(|_| PublicKeyError)?;
        let (kind, _) = split(&der).ok_or(PublicKeyError)?;
        if der.len() > DER_BYTES_MAX {
            return Err(PublicKeyError);
        }
        Ok(Self {
            kind,
            text: text.into(),
        })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{BEGIN}")?;
        let mut rest = &*self.text;
        while !rest.is_empty() {
            let (line, further) = rest.split_at(rest.len().min(64));
            writeln!(out, "{line}")?;
            rest = further;
        }
        writeln!(out, "{END}")
    }
}

text_value!(
    PublicKey,
    "a public key in PEM: RSA, P-256, P-384 or Ed25519",
    r"^\s*-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----\s*$"
);

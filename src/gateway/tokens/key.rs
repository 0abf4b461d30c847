//! Keys that tokens are verified with. Each knows the only algorithms that it is used with, so that no token can have a key
//! taken for one of another kind.

use aws_lc_rs::{
    hmac,
    rsa::PublicKeyComponents,
    signature::{
        self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RsaParameters,
        VerificationAlgorithm,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flexgate_schemas::tokens::{KeyKind, Named, PublicKey, TokenAlgorithm};
use serde::Deserialize;

/// The most keys of a JWK Set that are looked at: each may have to be tried for a token that names none.
const SET_KEYS_MAX: usize = 64;
/// How many keys are tried for a token that names none, or one that several have.
const TRIED_MAX: usize = 4;

/// The shortest modulus: 2048 bits. Nothing that a shorter one has signed would be taken anyway.
const RSA_BYTES_MIN: usize = 256;

/// A key.
pub(super) struct Key {
    kid: Option<Box<str>>,
    /// One for each algorithm that it is used with.
    ways: Vec<(TokenAlgorithm, Way)>,
}

enum Way {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

/// The keys of a provider.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Key>);

/// What came of looking for the right key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The signature is right.
    Genuine,
    /// It is not.
    Forged,
    /// No key has the id that the token names, or, if it names none, no key is for its algorithm.
    NoKey,
}

impl Keys {
    /// Secrets that both sides know. One that is shorter than its hash could be guessed (RFC 7518 3.2) and is left out.
    pub(super) fn shared(secrets: Vec<Named<String>>, algorithms: &[TokenAlgorithm]) -> Self {
        let key = |Named { kid, key }: Named<String>| {
            let way = |algorithm: &TokenAlgorithm| {
                let hash = shared(*algorithm)?;
                let is_long = key.len() >= hash.digest_algorithm().output_len();
                is_long.then(|| {
                    (
                        *algorithm,
                        Way::Secret(Box::new(hmac::Key::new(hash, key.as_bytes()))),
                    )
                })
            };
            Key::of(kid, algorithms.iter().filter_map(way).collect())
        };
        Self(secrets.into_iter().filter_map(key).collect())
    }

    /// Public keys that were written down.
    pub(super) fn public(keys: &[Named<PublicKey>], algorithms: &[TokenAlgorithm]) -> Self {
        let key = |Named { kid, key }: &Named<PublicKey>| {
            let bytes = key.bytes();
            let way = |algorithm: &TokenAlgorithm| {
                let fits = algorithm.kind() == key.kind();
                let parsed = ParsedPublicKey::new(public(*algorithm)?, &bytes).ok();
                parsed.filter(|_| fits).map(|key| (*algorithm, Way::Public(key)))
            };
            Key::of(kid.clone(), algorithms.iter().filter_map(way).collect())
        };
        Self(keys.iter().filter_map(key).collect())
    }

    /// The public keys of a JWK Set (RFC 7517 5), as far as they are for one of these algorithms; none if it is no JWK Set.
    /// What cannot be used is left out: providers publish keys for others, too. A secret in there is no secret.
    pub(super) fn published(json: &[u8], algorithms: &[TokenAlgorithm]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let Set { keys } = serde_json::from_slice(json).ok()?;
        let read = |value: serde_json::Value| serde_json::from_value::<Jwk>(value).ok()?.key(algorithms);
        Some(Self(
            keys.into_iter().take(SET_KEYS_MAX).filter_map(read).collect(),
        ))
    }

    /// Whether one of them made this signature.
    pub(super) fn verify(
        &self,
        (kid, algorithm): (Option<&str>, TokenAlgorithm),
        message: &[u8],
        signature: &[u8],
    ) -> Verdict {
        let is_meant = |key: &&Key| kid.is_none() || key.kid.as_deref() == kid;
        let ways = self.0.iter().filter(is_meant).flat_map(|key| &key.ways);
        let mut verdict = Verdict::NoKey;
        for (_, way) in ways.filter(|(own, _)| *own == algorithm).take(TRIED_MAX) {
            if way.verifies(message, signature) {
                return Verdict::Genuine;
            }
            verdict = Verdict::Forged;
        }
        verdict
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Key {
    fn of(kid: Option<Box<str>>, ways: Vec<(TokenAlgorithm, Way)>) -> Option<Self> {
        (!ways.is_empty()).then_some(Self { kid, ways })
    }
}

impl Way {
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(), // in constant time
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

/// A public key of a JWK Set (RFC 7517 4, RFC 7518 6, RFC 8037 2). Members that are not here are ignored, as they must be.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<Box<str>>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    fn key(&self, algorithms: &[TokenAlgorithm]) -> Option<Key> {
        let is_for_signatures = self.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        let verifies = self
            .key_ops
            .as_ref()
            .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !is_for_signatures || !verifies {
            return None;
        }
        let kind = match (&*self.kty, self.crv.as_deref()) {
            ("RSA", _) => KeyKind::Rsa,
            ("EC", Some("P-256")) => KeyKind::P256,
            ("EC", Some("P-384")) => KeyKind::P384,
            ("OKP", Some("Ed25519")) => KeyKind::Ed25519,
            _ => return None,
        };
        let is_meant = |algorithm: &&TokenAlgorithm| {
            let named = self.alg.as_deref();
            algorithm.kind() == kind && named.is_none_or(|name| name == format!("{algorithm:?}"))
        };
        let way = |algorithm: &TokenAlgorithm| Some((*algorithm, Way::Public(self.parsed(*algorithm)?)));
        let ways = algorithms.iter().filter(is_meant).filter_map(way);
        Key::of(self.kid.clone(), ways.collect())
    }

    fn parsed(&self, algorithm: TokenAlgorithm) -> Option<ParsedPublicKey> {
        let part = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        match algorithm.kind() {
            KeyKind::Secret => None,
            KeyKind::Rsa => {
                let (n, e) = (part(&self.n)?, part(&self.e)?);
                let significant = n.iter().skip_while(|byte| **byte == 0).count();
                if significant < RSA_BYTES_MIN {
                    return None;
                }
                let components = PublicKeyComponents { n, e };
                components.to_parsed_public_key(rsa(algorithm)?).ok()
            }
            KeyKind::P256 | KeyKind::P384 => {
                let point = [&[4], &part(&self.x)?[..], &part(&self.y)?[..]].concat();
                ParsedPublicKey::new(public(algorithm)?, point).ok()
            }
            KeyKind::Ed25519 => ParsedPublicKey::new(public(algorithm)?, part(&self.x)?).ok(),
        }
    }
}

fn shared(algorithm: TokenAlgorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        TokenAlgorithm::HS256 => Some(hmac::HMAC_SHA256),
        TokenAlgorithm::HS384 => Some(hmac::HMAC_SHA384),
        TokenAlgorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

/// RSA from 2048 bits on: shorter ones are refused.
fn rsa(algorithm: TokenAlgorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        TokenAlgorithm::RS256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        TokenAlgorithm::RS384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        TokenAlgorithm::RS512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        TokenAlgorithm::PS256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        TokenAlgorithm::PS384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        TokenAlgorithm::PS512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

fn public(algorithm: TokenAlgorithm) -> Option<&'static dyn VerificationAlgorithm> {
    match algorithm {
        TokenAlgorithm::ES256 => Some(&ECDSA_P256_SHA256_FIXED),
        TokenAlgorithm::ES384 => Some(&ECDSA_P384_SHA384_FIXED),
        TokenAlgorithm::EdDSA => Some(&ED25519),
        other => rsa(other).map(|parameters| parameters as &dyn VerificationAlgorithm),
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let algorithms: Vec<_> = self.ways.iter().map(|(algorithm, _)| algorithm).collect();
        write!(out, "Key({:?}, {algorithms:?})", self.kid)
    }
}

//! Signed requests: HMAC-SHA256 over what a request is and when it was sent, with a secret that never travels.
//!
//! What is signed is these lines, with line feeds between them:
//!
//! ```text
//! FlexGate-HMAC-SHA256
//! <seconds since 1970>
//! <method>
//! <host, and port if it is there, as in Host>
//! <path, as it is sent>
//! <query, as it is sent; empty without one>
//! <SHA-256 of the body in base64>
//! <nonce, as it is sent; no line without one>
//! ```
//!
//! The body is verified as it passes (`request_body.rs`): its digest is known, and signed, before it comes.

#[cfg(test)]
mod tests;

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use flexgate_schemas::{
    ApiKey, KeyId, Secret, Timestamp,
    key::signing::{self, EarlierSigning, Signing},
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::snapshot::Secrets;
use crate::limiter::Mark;

/// The scheme in `Authorization`, and the first line of what is signed.
pub(super) const SCHEME: &str = "FlexGate-HMAC-SHA256";
/// By how much the clock of a client may differ from ours, in seconds.
const DRIFT_MAX: i64 = 300;
/// The longest nonce, in bytes.
const NONCE_MAX: usize = 64;
/// The digest of no body.
const NOTHING: Digest = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// The SHA-256 of a body.
pub(super) type Digest = [u8; 32];

/// What is wrong with a signature. Says nothing of what would be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum SignatureFault {
    #[error(
        "the signature is written as `FlexGate-HMAC-SHA256 key=<id>, timestamp=<seconds since 1970>, signature=<base64>`, perhaps with a `nonce` of up to 64 letters, digits, `-` and `_`"
    )]
    Malformed,
    #[error("the timestamp of the signature is more than five minutes from now")]
    Time,
    #[error("`Content-Digest` has no SHA-256, which is written as `sha-256=:<base64>:`")]
    Digest,
    #[error("the signature is not that of a key for this method, host, path, query, body and time")]
    Wrong,
    #[error("the body is not the one that was signed")]
    Body,
}

/// What a client says in `Authorization`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claimed {
    pub(super) key: KeyId,
    /// As it is written: that is what is signed.
    timestamp: Box<str>,
    at: i64,
    /// What tells apart requests that are the same in all else, if the client says something.
    nonce: Option<Box<str>>,
    signature: Vec<u8>,
}

impl Claimed {
    /// Reads what follows the scheme: each parameter once, in any order, perhaps in quotes (RFC 9110 11.2).
    pub(super) fn read(text: &[u8]) -> Result<Self, SignatureFault> {
        let malformed = SignatureFault::Malformed;
        let text = str::from_utf8(text).map_err(|_| malformed)?;
        let (mut key, mut timestamp, mut nonce, mut signature) = (None, None, None, None);
        for parameter in text.split(',') {
            let (name, value) = parameter.trim().split_once('=').ok_or(malformed)?;
            let value = match value.strip_prefix('"') {
                Some(rest) => rest.strip_suffix('"').ok_or(malformed)?,
                None => value,
            };
            let place = match name {
                "key" => &mut key,
                "timestamp" => &mut timestamp,
                "nonce" => &mut nonce,
                "signature" => &mut signature,
                _ => return Err(malformed),
            };
            if place.replace(value).is_some() {
                return Err(malformed);
            }
        }
        let (Some(key), Some(timestamp), Some(signature)) = (key, timestamp, signature) else {
            return Err(malformed);
        };
        let is_nonce = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if nonce.is_some_and(|nonce| !(1..=NONCE_MAX).contains(&nonce.len()) || !nonce.bytes().all(is_nonce))
        {
            return Err(malformed);
        }
        let is_number = timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let at = timestamp.parse().ok().filter(|_| is_number);
        Ok(Self {
            key: key.parse().map_err(|_| malformed)?,
            timestamp: timestamp.into(),
            at: at.ok_or(malformed)?,
            nonce: nonce.map(Box::from),
            signature: STANDARD.decode(signature).map_err(|_| malformed)?,
        })
    }

    /// Whether it was sent about now, in seconds since 1970.
    pub(super) fn check_time(&self, now: i64) -> Result<(), SignatureFault> {
        let is_near = self.at.abs_diff(now) <= DRIFT_MAX.unsigned_abs();
        is_near.then_some(()).ok_or(SignatureFault::Time)
    }

    /// What it is known by when it comes again, and until when it could. Only what is genuine is worth to be remembered.
    pub(super) fn mark(&self) -> Mark {
        let hash = digest(&SHA256, &self.signature);
        let id = hash.as_ref().first_chunk().map(|half| u128::from_be_bytes(*half));
        Mark {
            id: id.unwrap_or_default(), // a hash has twice as many bytes
            until: u64::try_from(self.at + DRIFT_MAX).unwrap_or_default(),
        }
    }
}

/// What of a request is signed, beside its body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
}

/// The digest that the client says the body has (RFC 9530 2); that of nothing if it says none.
pub(super) fn digest_of(headers: &HeaderMap) -> Result<Digest, SignatureFault> {
    let mut lines = headers.get_all(CONTENT_DIGEST).iter().peekable();
    if lines.peek().is_none() {
        return Ok(NOTHING);
    }
    let lists = lines.map(HeaderValue::to_str);
    let mut found = None;
    for list in lists {
        for member in list.map_err(|_| SignatureFault::Digest)?.split(',') {
            let (algorithm, value) = member.trim().split_once('=').ok_or(SignatureFault::Digest)?;
            if algorithm != "sha-256" {
                continue; // others may be there, too
            }
            let base64 = value.strip_prefix(':').and_then(|rest| rest.strip_suffix(':'));
            let digest = base64.and_then(|text| STANDARD.decode(text).ok()?.try_into().ok());
            if found.replace(digest.ok_or(SignatureFault::Digest)?).is_some() {
                return Err(SignatureFault::Digest);
            }
        }
    }
    found.ok_or(SignatureFault::Digest)
}

/// Whether a body of which nothing is to come has this digest.
pub(super) fn is_of_nothing(digest: &Digest) -> bool {
    *digest == NOTHING
}

/// The secrets of a key, ready to verify with.
#[derive(Debug)]
pub(super) struct Signer(Box<[(hmac::Key, Option<Timestamp>)]>);

impl Signer {
    /// None for a key that signs nothing. A secret that cannot be opened on this node verifies nothing.
    pub(super) fn of(key: &ApiKey, secrets: &Secrets) -> Option<Self> {
        let Signing { secret, previous } = &**key.particulars().signing.as_ref()?;
        let opened = |(secret, until): (&Secret, Option<Timestamp>)| {
            let missing = |reason| {
                tracing::warn!(key = %key.id, ?secret, %reason, "what a key signs with cannot be opened: its signatures are refused");
            };
            let secret = secrets(secret, signing::purpose(&key.id)).map_err(missing).ok()?;
            Some((hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), until))
        };
        let earlier = previous
            .iter()
            .map(|EarlierSigning { secret, until }| (secret, Some(*until)));
        let all = std::iter::once((secret, None)).chain(earlier);
        Some(Self(all.filter_map(opened).collect()))
    }

    /// Whether the key has signed this, by the secrets that are valid at this time, in milliseconds since 1970.
    pub(super) fn verify(&self, claimed: &Claimed, signed: Signed<'_>, digest: &Digest, at: i64) -> bool {
        let valid = self
            .0
            .iter()
            .filter(|(_, until)| until.is_none_or(|until| at < until.as_millis()));
        let mut genuine = valid.filter(|(key, _)| {
            let message = message(claimed, signed, digest);
            hmac::verify(key, message.as_bytes(), &claimed.signature).is_ok() // in constant time
        });
        genuine.next().is_some()
    }
}

/// No part can have a line feed in it, so that no two requests are the same text.
fn message(claimed: &Claimed, signed: Signed<'_>, digest: &Digest) -> String {
    let Signed {
        method,
        host,
        path,
        query,
    } = signed;
    let digest = STANDARD.encode(digest);
    let lines = [SCHEME, &claimed.timestamp, method, host, path, query, &digest];
    let mut text = lines.join("\n");
    if let Some(nonce) = &claimed.nonce {
        text.extend(["\n", nonce]);
    }
    text
}

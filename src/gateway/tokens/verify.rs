//! The verdict on a token: pure, given the provider, its keys and the time.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flexgate_schemas::{TokenProvider, tokens::TokenAlgorithm};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use super::key::{Keys, Verdict};

/// The longest token, in bytes. A head may be longer, but nobody reads tokens that long for us.
pub(super) const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// What is wrong with a token. The words are for whoever has to find out why it is refused, and repeat nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::gateway) enum TokenFault {
    #[error("the token is not a JSON Web Token in compact form")]
    Malformed,
    #[error("the token is longer than 16 KiB")]
    TooLong,
    #[error("the token has no issuer that this gateway knows")]
    Issuer,
    #[error("the token is signed with an algorithm that this gateway does not take from its issuer")]
    Algorithm,
    #[error("the token has extensions that must be understood (`crit`)")]
    Critical,
    #[error("the token names a key that its issuer does not have")]
    UnknownKey,
    #[error("the signature of the token is wrong")]
    Signature,
    #[error("the token does not say until when it is valid (`exp`)")]
    NoExpiry,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token does not say whom it is about (`sub`)")]
    NoSubject,
    #[error("the token names no API key that may be used")]
    Key,
}

/// A token, taken apart. Nothing in it is known to be true.
pub(super) struct Parts<'t> {
    algorithm: Option<TokenAlgorithm>,
    kid: Option<String>,
    is_critical: bool,
    /// What is signed.
    message: &'t str,
    signature: &'t str,
    pub(super) claims: Map<String, Value>,
}

#[derive(Deserialize)]
struct Header {
    alg: Value,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'t> Parts<'t> {
    pub(super) fn of(token: &'t str) -> Result<Self, TokenFault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::TooLong);
        }
        let malformed = TokenFault::Malformed;
        let (message, signature) = token.rsplit_once('.').ok_or(malformed)?;
        let (header, claims) = message.split_once('.').ok_or(malformed)?;
        let header: Header = decoded(header).ok_or(malformed)?;
        let is_critical = header.crit.is_some();
        Ok(Self {
            algorithm: serde_json::from_value(header.alg).ok(), // `none` is none of them
            kid: header.kid,
            is_critical,
            message,
            signature,
            claims: decoded(claims).ok_or(malformed)?,
        })
    }

    /// Who it says has issued it.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// Whether it is what it says, by the keys of its provider, and holds now, in seconds since 1970. The signature comes
    /// first: of a token that somebody made up nothing is told but that.
    pub(super) fn verify(
        &self,
        provider: &TokenProvider,
        keys: &Keys,
        now: i64,
    ) -> Result<Verified, TokenFault> {
        let algorithm = self.algorithm.ok_or(TokenFault::Algorithm)?;
        if !provider.keys.algorithms().contains(&algorithm) {
            return Err(TokenFault::Algorithm);
        }
        if self.is_critical {
            return Err(TokenFault::Critical);
        }
        let signature = URL_SAFE_NO_PAD
            .decode(self.signature)
            .map_err(|_| TokenFault::Malformed)?;
        match keys.verify(
            (self.kid.as_deref(), algorithm),
            self.message.as_bytes(),
            &signature,
        ) {
            Verdict::Genuine => {}
            Verdict::Forged => return Err(TokenFault::Signature),
            Verdict::NoKey => return Err(TokenFault::UnknownKey),
        }
        let leeway = provider.leeway_seconds();
        let until = self
            .time("exp")?
            .ok_or(TokenFault::NoExpiry)?
            .saturating_add(leeway);
        let from = self.time("nbf")?.unwrap_or(i64::MIN).saturating_sub(leeway);
        if !self.is_for(provider) {
            return Err(TokenFault::Audience);
        }
        let verified = Verified { from, until };
        verified.holds(now).map(|()| verified)
    }

    /// A `NumericDate` (RFC 7519 2), which may have a fraction; of no use before the whole second.
    fn time(&self, claim: &str) -> Result<Option<i64>, TokenFault> {
        match self.claims.get(claim) {
            None => Ok(None),
            Some(Value::Number(number)) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "saturates: a time that far away is never or always"
                )]
                let whole = || number.as_f64().map(|seconds| seconds.floor() as i64);
                number
                    .as_i64()
                    .or_else(whole)
                    .map(Some)
                    .ok_or(TokenFault::Malformed)
            }
            Some(_) => Err(TokenFault::Malformed),
        }
    }

    fn is_for(&self, provider: &TokenProvider) -> bool {
        let is_ours = |audience: &Value| {
            let audience = audience.as_str();
            audience.is_some_and(|text| provider.audiences.iter().any(|own| **own == *text))
        };
        match self.claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().any(is_ours),
            Some(audience) => is_ours(audience),
            None => false,
        }
    }
}

/// From when and until when a genuine token holds, in seconds since 1970, leeway included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verified {
    from: i64,
    until: i64,
}

impl Verified {
    /// Whether it does now.
    pub(super) fn holds(self, now: i64) -> Result<(), TokenFault> {
        if now >= self.until {
            Err(TokenFault::Expired)
        } else if now < self.from {
            Err(TokenFault::NotYet)
        } else {
            Ok(())
        }
    }
}

fn decoded<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

//! Who a token says the caller is.

use flexgate_schemas::{KeyId, TokenProvider, tokens::ClaimName};
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::{claims, verify::TokenFault};

/// Somebody for whom a provider vouches.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::gateway) struct TokenCaller {
    /// `<provider>:<sub>`.
    pub(in crate::gateway) name: Box<str>,
    /// The API key whose terms hold.
    pub(in crate::gateway) key: Option<KeyId>,
    /// Whether the token lacks a claim that it should have.
    pub(in crate::gateway) lacks: bool,
    /// What upstreams are told.
    pub(in crate::gateway) fields: Box<[(HeaderName, HeaderValue)]>,
}

impl TokenCaller {
    /// The one whom a genuine token of the provider is about.
    pub(super) fn of(provider: &TokenProvider, claims: &Map<String, Value>) -> Result<Self, TokenFault> {
        let key = |claim: &ClaimName| {
            let text = claim.of(claims)?.as_str()?;
            text.parse().ok()
        };
        let key = provider
            .key_claim
            .as_ref()
            .map(|claim| key(claim).ok_or(TokenFault::Key));
        Ok(Self {
            name: claims::caller(provider, claims)?,
            key: key.transpose()?,
            lacks: claims::lacks_one(provider, claims),
            fields: claims::fields(provider, claims),
        })
    }
}

//! Providers of tokens: who may say who a client is, in JSON Web Tokens (RFC 7519), and how that is checked.

mod claims;
mod keys;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::keys::GivenKey;
pub use self::{
    claims::{ClaimName, ClaimNameError},
    keys::{KeyKind, KeySource, KeySourceError, Named, PublicKey, TokenAlgorithm},
};
use crate::{
    Millis, ProviderId, UpstreamUrl,
    edits::{EditedField, EditedName as _},
};

/// The most audiences of a provider.
const AUDIENCES_MAX: usize = 16;
/// The most claims that are asked for, and the most that are sent on.
const CLAIMS_MAX: usize = 16;
/// The most values that satisfy one claim.
const VALUES_MAX: usize = 64;
/// The longest issuer, audience or value, in bytes.
const TEXT_BYTES_MAX: usize = 512;

/// One provider. Its tokens come as `Authorization: Bearer`, and are told apart from those of others by their issuer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct TokenProvider {
    /// What callers that it vouches for are named after: `<provider>:<sub>`.
    pub name: ProviderId,
    /// Its `iss`, to the letter.
    pub issuer: Box<str>,
    /// A token is for us if one of these is in its `aud`.
    pub audiences: Vec<Box<str>>,
    /// What tokens are verified with.
    pub keys: KeySource,
    /// By how much its clock may differ from ours.
    pub leeway: Option<Millis>,
    /// Claims that upstreams are told, each with its field.
    pub claims_to_headers: BTreeMap<ClaimName, EditedField>,
    /// Claims that a token must have, each with one of these values; none listed: with any.
    pub required_claims: BTreeMap<ClaimName, Vec<Box<str>>>,
    /// The claim that has the id of the API key whose terms hold for the caller.
    pub key_claim: Option<ClaimName>,
}

impl TokenProvider {
    /// The leeway where nothing is said: enough for clocks that are kept by NTP at all.
    pub const LEEWAY: Millis = Millis::new(30_000);

    /// By how much its clock may differ from ours, in whole seconds.
    pub fn leeway_seconds(&self) -> i64 {
        let leeway = self.leeway.unwrap_or(Self::LEEWAY).duration().as_secs();
        i64::try_from(leeway).unwrap_or(i64::MAX)
    }
}

/// [`TokenProvider`] as it is written.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, rename = "TokenProvider")]
struct Written {
    /// What callers that it vouches for are named after: `<provider>:<sub>`.
    name: ProviderId,
    /// Its `iss`, to the letter. Two providers never have the same.
    #[schemars(length(min = 1, max = TEXT_BYTES_MAX))]
    issuer: Box<str>,
    /// A token is for us if one of these is in its `aud`.
    #[schemars(length(min = 1, max = AUDIENCES_MAX))]
    audiences: Vec<Box<str>>,
    /// What tokens may be signed with, and nothing else. Those that share a secret (HS256, HS384, HS512) never stand with others.
    #[schemars(length(min = 1))]
    algorithms: Vec<TokenAlgorithm>,
    /// Where its public keys are, as a JWK Set (RFC 7517); either this or `keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwks_url: Option<UpstreamUrl>,
    /// Its keys; either these or `jwksUrl`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = keys::KEYS_MAX))]
    keys: Vec<GivenKey>,
    /// By how much its clock may differ from ours; 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leeway: Option<Millis>,
    /// Claims that upstreams are told, each with its field. A claim is a name, or a JSON pointer such as `/realm_access/roles`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    claims_to_headers: BTreeMap<ClaimName, EditedField>,
    /// Claims that a token must have, each with one of these values; none listed: with any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    required_claims: BTreeMap<ClaimName, Vec<Box<str>>>,
    /// The claim that has the id of the API key whose terms hold for the caller. A token without it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_claim: Option<ClaimName>,
}

/// Why it cannot be a provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// Nothing to hold `iss` against.
    #[error("`issuer` has 1 to {TEXT_BYTES_MAX} bytes")]
    Issuer,
    /// Tokens that are meant for others would be taken.
    #[error(
        "`audiences` has 1 to {AUDIENCES_MAX} entries of 1 to {TEXT_BYTES_MAX} bytes: who a token is for is always checked"
    )]
    Audiences,
    /// Too much is asked of a token.
    #[error(
        "`requiredClaims` has at most {CLAIMS_MAX} claims, each with at most {VALUES_MAX} values of at most {TEXT_BYTES_MAX} bytes"
    )]
    Required,
    /// Too much is made of it.
    #[error("`claimsToHeaders` has at most {CLAIMS_MAX} claims")]
    ClaimsToHeaders,
    /// Two claims would be one field.
    #[error("{0} gets two claims")]
    FieldTwice(EditedField),
    /// A field that must not be given a value.
    #[error("{0} cannot have a claim: {1}")]
    Field(EditedField, &'static str),
    /// What its tokens are verified with.
    #[error(transparent)]
    Keys(#[from] KeySourceError),
}

impl TryFrom<Written> for TokenProvider {
    type Error = ProviderError;
    fn try_from(written: Written) -> Result<Self, ProviderError> {
        let fits = |text: &str| (1..=TEXT_BYTES_MAX).contains(&text.len());
        if !fits(&written.issuer) {
            return Err(ProviderError::Issuer);
        }
        let audiences = written.audiences.len();
        if !(1..=AUDIENCES_MAX).contains(&audiences) || !written.audiences.iter().all(|text| fits(text)) {
            return Err(ProviderError::Audiences);
        }
        let values_fit =
            |values: &Vec<Box<str>>| values.len() <= VALUES_MAX && values.iter().all(|text| fits(text));
        if written.required_claims.len() > CLAIMS_MAX || !written.required_claims.values().all(values_fit) {
            return Err(ProviderError::Required);
        }
        check_fields(&written.claims_to_headers)?;
        Ok(Self {
            name: written.name,
            issuer: written.issuer,
            audiences: written.audiences,
            keys: KeySource::of(written.algorithms, written.jwks_url, written.keys)?,
            leeway: written.leeway,
            claims_to_headers: written.claims_to_headers,
            required_claims: written.required_claims,
            key_claim: written.key_claim,
        })
    }
}

fn check_fields(fields: &BTreeMap<ClaimName, EditedField>) -> Result<(), ProviderError> {
    if fields.len() > CLAIMS_MAX {
        return Err(ProviderError::ClaimsToHeaders);
    }
    let mut seen = BTreeSet::new();
    for field in fields.values() {
        if let Some(objection) = field.objection_to_value() {
            return Err(ProviderError::Field(field.clone(), objection));
        }
        if !seen.insert(field) {
            return Err(ProviderError::FieldTwice(field.clone()));
        }
    }
    Ok(())
}

impl From<TokenProvider> for Written {
    fn from(provider: TokenProvider) -> Self {
        let (algorithms, jwks_url, keys) = provider.keys.written();
        Self {
            name: provider.name,
            issuer: provider.issuer,
            audiences: provider.audiences,
            algorithms,
            jwks_url,
            keys,
            leeway: provider.leeway,
            claims_to_headers: provider.claims_to_headers,
            required_claims: provider.required_claims,
            key_claim: provider.key_claim,
        }
    }
}

impl JsonSchema for TokenProvider {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Written::schema_name()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}

/// As a sentence names it.
impl fmt::Display for TokenProvider {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "token provider {}", self.name)
    }
}

#[cfg(test)]
mod tests;

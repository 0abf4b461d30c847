//! How clients say who they are.

use std::{fmt, str::FromStr};

use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{TokenProvider, matchers::FieldName, recording::is_default};

/// The most providers of tokens.
pub const PROVIDERS_MAX: usize = 16;

/// Where credentials are looked for, and what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Authentication {
    /// The field that has the API key; `X-API-Key`. `Authorization: Bearer fg_...` is taken, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<CredentialField>,
    /// Send the credential on to the upstream, where it was checked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub forward_credential: bool,
    /// Who may vouch for clients with tokens: `Authorization: Bearer`. Nobody: such a token is the upstream's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = PROVIDERS_MAX))]
    pub jwt: Vec<TokenProvider>,
    /// What becomes of signed requests while Redis, which knows for all nodes what was signed before, does not answer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_redis_failure: OnRedisFailure,
}

/// What becomes of signed requests while nobody knows what other nodes have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SignaturesOnRedisFailure")]
pub enum OnRedisFailure {
    /// They are refused.
    #[default]
    Closed,
    /// They pass unless the same node has seen them.
    Local,
}

impl Authentication {
    /// The field that has the API key.
    pub fn header(&self) -> &HeaderName {
        static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
        self.header
            .as_ref()
            .map_or(&X_API_KEY, |field| field.0.as_header())
    }
}

/// The name of a field that can have a credential and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CredentialField(FieldName);

/// Fields that say something else, or belong to one hop: taken out of requests, or never sent on, they would be missed.
const TAKEN: [&str; 22] = [
    "accept",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-correlation-id",
    "x-flexgate-key",
    "traceparent",
    "tracestate",
];

impl FromStr for CredentialField {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let field: FieldName = text.parse()?;
        let name = field.as_header().as_str();
        if TAKEN.contains(&name) || name.starts_with("proxy-") || name.starts_with("x-forwarded-") {
            return Err(format!(
                "{name} cannot have an API key: it says something else. `Authorization: Bearer` is taken anyway"
            ));
        }
        Ok(Self(field))
    }
}

impl fmt::Display for CredentialField {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

text_value!(
    CredentialField,
    "the name of a header field that has nothing but the API key",
    "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_has_a_field_of_its_own() {
        let read = |json: &str| serde_json::from_str::<Authentication>(json);
        assert_eq!(read("{}").unwrap().header(), "x-api-key");
        assert_eq!(
            read(r#"{"header":"X-Client-Key"}"#).unwrap().header(),
            "x-client-key"
        );
        for name in [
            "Authorization",
            "Host",
            "X-Forwarded-For",
            "proxy-authorization",
            "a b",
        ] {
            assert!(read(&format!(r#"{{"header":"{name}"}}"#)).is_err(), "{name}");
        }
    }
}

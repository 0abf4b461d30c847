//! How keys are written in events: flat, whatever they look like in memory.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ApiKey, Basic, CERTIFICATES_MAX, CertificateName, KeyId, NETWORKS_MAX, PREVIOUS_MAX, Particulars,
    Previous, Quotas, Scopes, SecretHash, Signing,
};
use crate::{RateLimits, Timestamp, recording::is_default, route::Name, settings::networks};

/// [`ApiKey`] as it is written in events.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, rename = "ApiKey")]
pub(super) struct Written {
    /// Its identity, and no secret.
    id: KeyId,
    /// What people call it.
    name: Name,
    /// The hash of its newest secret.
    sha256: SecretHash,
    /// Earlier secrets that are still valid, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = PREVIOUS_MAX))]
    previous: Vec<Previous>,
    /// Whether it opens anything.
    #[serde(default = "super::yes")]
    enabled: bool,
    /// From when on it opens nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// When it got its newest secret, if that is not its first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotated_at: Option<Timestamp>,
    /// Since when it opens nothing, for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
    /// What it opens; absent: everything.
    #[serde(default, skip_serializing_if = "is_default")]
    scopes: Scopes,
    /// From which addresses and networks it is taken; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "networks")]
    #[schemars(with = "Vec<String>", length(max = NETWORKS_MAX))]
    networks: Vec<IpNet>,
    /// Certificates of clients that stand for it, where clients show any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = CERTIFICATES_MAX))]
    certificates: Vec<CertificateName>,
    /// How many requests it may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_limit: Option<RateLimits>,
    /// How many in a day and a month.
    #[serde(default, skip_serializing_if = "is_default")]
    quotas: Quotas,
    /// What it signs requests with, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signing: Option<Box<Signing>>,
    /// Its user name and password, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    basic: Option<Box<Basic>>,
}

impl From<Written> for ApiKey {
    fn from(written: Written) -> Self {
        let own = Particulars {
            previous: written.previous,
            expires_at: written.expires_at,
            rotated_at: written.rotated_at,
            revoked_at: written.revoked_at,
            scopes: written.scopes,
            networks: written.networks,
            certificates: written.certificates,
            rate_limit: written.rate_limit,
            quotas: written.quotas,
            signing: written.signing,
            basic: written.basic,
        };
        Self {
            id: written.id,
            name: written.name,
            sha256: written.sha256,
            enabled: written.enabled,
            particulars: own.unless_nothing(),
        }
    }
}

impl From<ApiKey> for Written {
    fn from(key: ApiKey) -> Self {
        let own = key.particulars.map(|own| *own).unwrap_or_default();
        Self {
            id: key.id,
            name: key.name,
            sha256: key.sha256,
            previous: own.previous,
            enabled: key.enabled,
            expires_at: own.expires_at,
            rotated_at: own.rotated_at,
            revoked_at: own.revoked_at,
            scopes: own.scopes,
            networks: own.networks,
            certificates: own.certificates,
            rate_limit: own.rate_limit,
            quotas: own.quotas,
            signing: own.signing,
            basic: own.basic,
        }
    }
}

impl JsonSchema for ApiKey {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Written::schema_name()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}

//! Keys whose secrets are known elsewhere, as files give them.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Basic, CERTIFICATES_MAX, CertificateName, KeyTerms, NETWORKS_MAX, Quotas, Scopes, SecretHash};
use crate::{KeyId, RateLimits, Timestamp, recording::is_default, route::Name, settings::networks};

/// A key by the hash of its secret, from which its id follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GivenKey {
    /// The SHA-256 of what its client sends.
    pub key: SecretHash,
    /// What people call it; its id, if they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Whether it opens anything.
    #[serde(default = "super::yes")]
    pub enabled: bool,
    /// From when on it opens nothing; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What it opens; absent: everything.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scopes: Scopes,
    /// From which addresses and networks it is taken; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "networks")]
    #[schemars(with = "Vec<String>", length(max = NETWORKS_MAX))]
    pub networks: Vec<IpNet>,
    /// Certificates of clients that stand for it, where clients show any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = CERTIFICATES_MAX))]
    pub certificates: Vec<CertificateName>,
    /// How many requests it may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimits>,
    /// How many in a day and a month.
    #[serde(default, skip_serializing_if = "is_default")]
    pub quotas: Quotas,
    /// Its user name and the hash of its password, in the place of those that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
}

impl GivenKey {
    /// Its identity.
    pub fn id(&self) -> KeyId {
        self.key.derived_id()
    }

    /// What is decided about it.
    pub fn terms(&self) -> KeyTerms {
        let as_its_id = || self.id().as_str().parse().expect("letters and digits are a name");
        KeyTerms {
            name: self.name.clone().unwrap_or_else(as_its_id),
            enabled: self.enabled,
            expires_at: self.expires_at,
            scopes: self.scopes.clone(),
            networks: self.networks.clone(),
            certificates: self.certificates.clone(),
            rate_limit: self.rate_limit.clone(),
            quotas: self.quotas,
        }
    }
}

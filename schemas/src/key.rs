//! API keys: who may send requests, by a secret of which only the hash is known.

pub mod basic;
mod certificate;
mod given;
mod id;
mod overlap;
pub mod secret;
pub mod signing;
mod told;
mod written;

use std::{collections::BTreeSet, fmt, num::NonZeroU64};

use http::Method;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::written::Written;
pub use self::{
    basic::{Basic, PasswordHash, Username},
    certificate::{CertificateName, CertificateNameError},
    given::GivenKey,
    id::{KeyId, KeyIdError},
    overlap::{Overlap, OverlapError},
    secret::{SecretHash, SecretHashError},
    signing::Signing,
    told::{ToldBasic, ToldKey},
};
use crate::{
    Methods, RateLimits, RouteId, Secret, Timestamp, recording::is_default, route::Name, settings::networks,
};

/// The most earlier secrets that are still valid.
pub const PREVIOUS_MAX: usize = 4;
/// The most routes that a key is limited to.
pub const SCOPED_ROUTES_MAX: usize = 256;
/// The most certificates that stand for a key.
pub const CERTIFICATES_MAX: usize = 16;
/// The most networks that a key is limited to. They are looked through for every request.
pub const NETWORKS_MAX: usize = 64;

/// One client: an identity, and the secrets that prove it. There may be a million of them, so what most of them do not have
/// is elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct ApiKey {
    /// Its identity, and no secret.
    pub id: KeyId,
    /// What people call it.
    pub name: Name,
    /// The hash of its newest secret.
    pub sha256: SecretHash,
    /// Whether it opens anything.
    pub enabled: bool,
    particulars: Option<Box<Particulars>>,
}

/// What most keys do not have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Particulars {
    /// Earlier secrets, the newest first.
    pub previous: Vec<Previous>,
    /// From when on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// When it got its newest secret, if that is not its first.
    pub rotated_at: Option<Timestamp>,
    /// Since when it opens nothing, for good.
    pub revoked_at: Option<Timestamp>,
    /// What it opens.
    pub scopes: Scopes,
    /// From where.
    pub networks: Vec<IpNet>,
    /// Certificates that stand for it.
    pub certificates: Vec<CertificateName>,
    /// How many requests it may send.
    pub rate_limit: Option<RateLimits>,
    /// How many in a day and a month.
    pub quotas: Quotas,
    /// What it signs requests with, if it does.
    pub signing: Option<Box<Signing>>,
    /// Its user name and password, if it has any.
    pub basic: Option<Box<Basic>>,
}

impl Particulars {
    /// None where there is nothing: most keys are to be small.
    fn unless_nothing(self) -> Option<Box<Self>> {
        (self != NOTHING_PARTICULAR).then(|| Box::new(self))
    }
}

static NOTHING_PARTICULAR: Particulars = Particulars {
    previous: Vec::new(),
    expires_at: None,
    rotated_at: None,
    revoked_at: None,
    scopes: Scopes {
        routes: BTreeSet::new(),
        methods: Methods::ANY,
    },
    networks: Vec::new(),
    certificates: Vec::new(),
    rate_limit: None,
    quotas: Quotas {
        day: None,
        month: None,
    },
    signing: None,
    basic: None,
};

/// A secret that a newer one has replaced, and that is valid for a while all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Previous {
    /// Its hash.
    pub sha256: SecretHash,
    /// From when on it opens nothing.
    pub until: Timestamp,
}

/// What a key opens. Nothing listed: everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scopes {
    /// Only these routes, by id.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(length(max = SCOPED_ROUTES_MAX))]
    pub routes: BTreeSet<RouteId>,
    /// Only with these methods.
    #[serde(default, skip_serializing_if = "Methods::is_any")]
    pub methods: Methods,
}

impl Scopes {
    /// Whether such a request is among them.
    pub fn cover(&self, route: &RouteId, method: &Method) -> bool {
        (self.routes.is_empty() || self.routes.contains(route)) && self.methods.contains(method)
    }
}

/// How many requests a key may send in the long run, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quotas {
    /// In a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<NonZeroU64>,
    /// In a month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<NonZeroU64>,
}

/// What people decide about a key; the rest comes with its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyTerms {
    /// What people call it.
    pub name: Name,
    /// Whether it opens anything.
    #[serde(default = "yes")]
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
}

impl ApiKey {
    /// A key with its first secret.
    pub fn new(id: KeyId, sha256: SecretHash, terms: KeyTerms) -> Self {
        let bare = Self {
            id,
            name: terms.name.clone(),
            sha256,
            enabled: terms.enabled,
            particulars: None,
        };
        bare.with_terms(terms)
    }

    /// What most keys do not have.
    pub fn particulars(&self) -> &Particulars {
        self.particulars.as_deref().unwrap_or(&NOTHING_PARTICULAR)
    }

    /// Whether it proves who it is by more than its secrets: with a signature or a certificate.
    pub fn has_other_proofs(&self) -> bool {
        let own = self.particulars();
        own.signing.is_some() || !own.certificates.is_empty()
    }

    /// Whether it may send only so many requests.
    pub fn is_limited(&self) -> bool {
        let own = self.particulars();
        own.rate_limit.is_some() || own.quotas != Quotas::default()
    }

    /// What people have decided about it.
    pub fn terms(&self) -> KeyTerms {
        let own = self.particulars().clone();
        KeyTerms {
            name: self.name.clone(),
            enabled: self.enabled,
            expires_at: own.expires_at,
            scopes: own.scopes,
            networks: own.networks,
            certificates: own.certificates,
            rate_limit: own.rate_limit,
            quotas: own.quotas,
        }
    }

    /// The same key under other terms.
    #[must_use]
    pub fn with_terms(&self, terms: KeyTerms) -> Self {
        Self {
            name: terms.name,
            enabled: terms.enabled,
            ..self.changed(|own| {
                own.expires_at = terms.expires_at;
                own.scopes = terms.scopes;
                own.networks = terms.networks;
                own.certificates = terms.certificates;
                own.rate_limit = terms.rate_limit;
                own.quotas = terms.quotas;
            })
        }
    }

    /// The same key with another secret. Those that it had are valid until then at the longest; what was not valid any more
    /// at that time is forgotten.
    #[must_use]
    pub fn rotated(&self, sha256: SecretHash, at: Timestamp, until: Timestamp) -> Self {
        let replaced = Previous {
            sha256: self.sha256,
            until,
        };
        Self {
            sha256,
            ..self.changed(|own| {
                own.rotated_at = Some(at);
                for earlier in &mut own.previous {
                    earlier.until = earlier.until.min(until);
                }
                own.previous.insert(0, replaced);
                own.previous.retain(|earlier| earlier.until > at);
            })
        }
    }

    /// The same key, which signs with this secret from now on, and until then perhaps with those that it had.
    #[must_use]
    pub fn signing_with(&self, secret: Secret, at: Timestamp, until: Timestamp) -> Self {
        self.changed(|own| {
            let signing = match own.signing.take() {
                Some(before) => before.rotated(secret, at, until),
                None => Signing {
                    secret,
                    previous: Vec::new(),
                },
            };
            own.signing = Some(Box::new(signing));
        })
    }

    /// The same key, which signs nothing.
    #[must_use]
    pub fn unsigned(&self) -> Self {
        self.changed(|own| own.signing = None)
    }

    /// The same key with this user name and password, or none.
    #[must_use]
    pub fn with_basic(&self, basic: Option<Basic>) -> Self {
        self.changed(|own| own.basic = basic.map(Box::new))
    }

    /// The same key, which opens nothing any more. It stays as it was if that is so already.
    #[must_use]
    pub fn revoked(&self, at: Timestamp) -> Self {
        self.changed(|own| {
            own.revoked_at.get_or_insert(at);
            own.previous.clear();
            own.signing = None;
        })
    }

    fn changed(&self, change: impl FnOnce(&mut Particulars)) -> Self {
        let mut own = self.particulars().clone();
        change(&mut own);
        Self {
            particulars: own.unless_nothing(),
            ..self.clone()
        }
    }
}

/// As a sentence names it.
impl fmt::Display for ApiKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "key {} ({})", self.id, self.name)
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests;

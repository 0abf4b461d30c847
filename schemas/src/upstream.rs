//! Upstreams: named backends with one or more targets.

use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Millis, Secret, UpstreamId, UpstreamUrl,
    policy::{CircuitBreaker, HealthCheck, Retries},
    transport::{Protocol, UpstreamTls},
};

/// The most targets of one upstream.
pub const TARGETS_MAX: usize = 256;

/// A named backend.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct Upstream {
    /// Its name, which is its identity.
    pub name: UpstreamId,
    /// Where it is reached: at least one target.
    pub targets: Targets,
    /// How long a response may take to begin.
    pub timeout: Option<Millis>,
    /// How long a connection may take to be made.
    pub connect_timeout: Option<Millis>,
    /// How often a failed request is tried again.
    pub retries: Option<Retries>,
    /// When to stop asking it.
    pub circuit_breaker: Option<CircuitBreaker>,
    /// How it is asked whether it is well.
    pub health_check: Option<HealthCheck>,
    /// The value of the `Authorization` field sent to it, in place of the client's.
    pub authorization: Option<Secret>,
    /// Which version of HTTP it is spoken to in.
    pub protocol: Protocol,
    /// What of TLS differs from the default.
    pub tls: Option<UpstreamTls>,
}

/// The addresses of an upstream: 1 to [`TARGETS_MAX`], no address twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Targets(Box<[Target]>);

/// One address of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Where it is.
    pub url: UpstreamUrl,
    /// Its share of the requests, relative to the others.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: NonZeroU16,
}

fn one() -> NonZeroU16 {
    NonZeroU16::MIN
}

fn is_one(weight: &NonZeroU16) -> bool {
    *weight == NonZeroU16::MIN
}

impl Upstream {
    /// The smallest upstream: one target, everything else default.
    pub fn new(name: UpstreamId, url: UpstreamUrl) -> Self {
        Self {
            name,
            targets: Targets::one(url),
            timeout: None,
            connect_timeout: None,
            retries: None,
            circuit_breaker: None,
            health_check: None,
            authorization: None,
            protocol: Protocol::Auto,
            tls: None,
        }
    }

    /// The lowest schema level that can read it: the first ones know neither `protocol` nor `tls`, the third no secrets
    /// that are sealed.
    pub fn reader_level(&self) -> u32 {
        let secrets = self.tls.iter().flat_map(UpstreamTls::secrets);
        if secrets.chain(&self.authorization).any(Secret::is_sealed) {
            4
        } else if self.protocol.is_auto() && self.tls.is_none() {
            1
        } else {
            3
        }
    }
}

impl Targets {
    /// A single target.
    pub fn one(url: UpstreamUrl) -> Self {
        Self(Box::new([Target { url, weight: one() }]))
    }

    /// All targets, at least one.
    pub fn as_slice(&self) -> &[Target] {
        &self.0
    }
}

/// Why the addresses of an upstream are not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetsError {
    /// Neither `url` nor `targets`, or an empty list.
    #[error("an upstream needs a `url`, or `targets` with at least one `url`")]
    None,
    /// Both `url` and `targets`.
    #[error("an upstream has either a `url` or `targets`, not both")]
    Both,
    /// More than [`TARGETS_MAX`].
    #[error("an upstream has at most {TARGETS_MAX} targets, this one has {0}")]
    TooMany(usize),
    /// TLS settings for an address without TLS.
    #[error("{0} has no TLS: take `tls` away, or write https")]
    NoTls(UpstreamUrl),
    /// One address twice; use its weight.
    #[error("the target {0} is listed twice; give it a larger `weight` instead")]
    Twice(UpstreamUrl),
}

impl TryFrom<Vec<Target>> for Targets {
    type Error = TargetsError;
    fn try_from(targets: Vec<Target>) -> Result<Self, TargetsError> {
        if targets.is_empty() {
            return Err(TargetsError::None);
        }
        if targets.len() > TARGETS_MAX {
            return Err(TargetsError::TooMany(targets.len()));
        }
        let mut urls: Vec<_> = targets.iter().map(|target| &target.url).collect();
        urls.sort();
        if let Some(pair) = urls.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(TargetsError::Twice(pair[0].clone()));
        }
        Ok(Self(targets.into()))
    }
}

/// The written form: `url` for a single target, `targets` for several.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename = "Upstream", deny_unknown_fields)]
struct Written {
    /// Its name, which is its identity.
    #[serde(alias = "id")]
    name: UpstreamId,
    /// Where it is reached, when that is one place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<UpstreamUrl>,
    /// Where it is reached, when those are several places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    targets: Option<Vec<Target>>,
    /// How long a response may take to begin; 30 s unless set here, on the route or globally.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout: Option<Millis>,
    /// How long a connection may take to be made; 5 s unless set here or globally.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connect_timeout: Option<Millis>,
    /// How often a failed request is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retries: Option<Retries>,
    /// When to stop asking it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    circuit_breaker: Option<CircuitBreaker>,
    /// How it is asked whether it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    health_check: Option<HealthCheck>,
    /// The value of the `Authorization` field sent to it: a reference, never the value itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authorization: Option<Secret>,
    /// Which version of HTTP it is spoken to in: `auto`, `http1` or `http2`.
    #[serde(default, skip_serializing_if = "Protocol::is_auto")]
    protocol: Protocol,
    /// What of TLS differs from the default; only for `https` URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tls: Option<UpstreamTls>,
}

impl From<Upstream> for Written {
    fn from(upstream: Upstream) -> Self {
        let (url, targets) = match &*upstream.targets.0 {
            [Target { url, weight }] if is_one(weight) => (Some(url.clone()), None),
            several => (None, Some(several.to_vec())),
        };
        Self {
            name: upstream.name,
            url,
            targets,
            timeout: upstream.timeout,
            connect_timeout: upstream.connect_timeout,
            retries: upstream.retries,
            circuit_breaker: upstream.circuit_breaker,
            health_check: upstream.health_check,
            authorization: upstream.authorization,
            protocol: upstream.protocol,
            tls: upstream.tls,
        }
    }
}

impl TryFrom<Written> for Upstream {
    type Error = TargetsError;
    fn try_from(written: Written) -> Result<Self, TargetsError> {
        let targets = match (written.url, written.targets) {
            (Some(url), None) => Targets::one(url),
            (None, Some(targets)) => targets.try_into()?,
            (None, None) => return Err(TargetsError::None),
            (Some(_), Some(_)) => return Err(TargetsError::Both),
        };
        let plain = |target: &&Target| written.tls.is_some() && !target.url.is_https();
        if let Some(target) = targets.as_slice().iter().find(plain) {
            return Err(TargetsError::NoTls(target.url.clone()));
        }
        Ok(Self {
            name: written.name,
            targets,
            timeout: written.timeout,
            connect_timeout: written.connect_timeout,
            retries: written.retries,
            circuit_breaker: written.circuit_breaker,
            health_check: written.health_check,
            authorization: written.authorization,
            protocol: written.protocol,
            tls: written.tls,
        })
    }
}

impl JsonSchema for Upstream {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Written::schema_name()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Upstream, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn one_address_is_a_url_and_several_are_targets() {
        let single = read(r#"{"name":"a","targets":[{"url":"http://x"}]}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&single).unwrap(),
            r#"{"name":"a","url":"http://x"}"#
        );
        let json = r#"{"name":"a","targets":[{"url":"http://x","weight":3},{"url":"http://y"}]}"#;
        assert_eq!(serde_json::to_string(&read(json).unwrap()).unwrap(), json);
    }

    #[test]
    fn the_addresses_must_make_sense() {
        for json in [
            r#"{"name":"a"}"#,
            r#"{"name":"a","targets":[]}"#,
            r#"{"name":"a","url":"http://x","targets":[{"url":"http://y"}]}"#,
            r#"{"name":"a","targets":[{"url":"http://x"},{"url":"http://x:80/"}]}"#,
            r#"{"name":"a","targets":[{"url":"http://x","weight":0}]}"#,
            r#"{"name":"a","url":"http://x","tls":{"serverName":"y"}}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }

    #[test]
    fn only_what_is_asked_for_needs_a_newer_reader() {
        let sealed = format!("sealed:0badcafe:{}", "A".repeat(39));
        let level = |more: &str| {
            let json = format!(r#"{{"name":"a","url":"https://x"{more}}}"#);
            serde_json::from_str::<Upstream>(&json).unwrap().reader_level()
        };
        assert_eq!(level(r#","authorization":"${TOKEN}""#), 1);
        assert_eq!(level(r#","tls":{"ca":"file:/ca"}"#), 3);
        assert_eq!(level(&format!(r#","authorization":"{sealed}""#)), 4);
        let tls = format!(r#""clientCertificate":{{"certificate":"file:/c","key":"{sealed}"}}"#);
        assert_eq!(level(&format!(r#","tls":{{{tls}}}"#)), 4);
    }

    #[test]
    fn a_credential_in_the_clear_is_refused_without_being_repeated() {
        let error = read(r#"{"name":"a","url":"http://x","authorization":"Bearer hunter2"}"#).unwrap_err();
        assert!(
            error.contains("never stored in the clear") && !error.contains("hunter2"),
            "{error}"
        );
        assert!(
            read(r#"{"name":"a","url":"http://u:hunter2@x"}"#).is_err_and(|error| !error.contains("hunter2"))
        );
    }
}

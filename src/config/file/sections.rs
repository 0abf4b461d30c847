//! The sections of a file beside `upstreams` and `routes`: what may stand in each.
//!
//! A field that is only checked here is read from the tree where it is used: positions matter more than values.

use std::net::IpAddr;

use flexgate_schemas::Millis;
use serde::{Deserialize, Deserializer, de, de::IgnoredAny};

use super::super::{budgets::Budgets, log::LogFormat, tls::TlsSection};

/// The sections a file may have.
pub(super) const NAMES: [&str; 16] = [
    "proxy",
    "limits",
    "security",
    "rateLimit",
    "upstreams",
    "routes",
    "logging",
    "privacy",
    "timeouts",
    "redis",
    "metrics",
    "http",
    "backpressure",
    "name",
    "version",
    "metadata",
];

/// `proxy`: this node's listener, and defaults for all routes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Proxy {
    pub(super) port: Option<u16>,
    pub(super) host: Option<IpAddr>,
    pub(super) timeout: Option<Timeouts>,
    pub(super) connect_timeout: Option<Millis>,
    pub(super) trusted_proxies: Option<IgnoredAny>,
    #[serde(rename = "trustProxy")]
    pub(super) trusts_all: Option<bool>,
    pub(super) forwarded: Option<bool>,
    pub(super) max_body_size: Option<IgnoredAny>,
    pub(super) cors: Option<IgnoredAny>,
    compression: Option<IgnoredAny>,
    pub(super) tls: Option<TlsSection>,
}

/// A number, which is `request`; or each by its name, as in the old files.
#[derive(Debug)]
pub(super) struct Timeouts;

/// `timeouts` of the old files, and `proxy.timeout` written in full.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct NamedTimeouts {
    request: Option<Millis>,
    connect: Option<Millis>,
    idle: Option<Millis>,
}

impl<'de> Deserialize<'de> for Timeouts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrNames;
        impl<'de> de::Visitor<'de> for NumberOrNames {
            type Value = Timeouts;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("milliseconds (5000), a number with a unit (\"5s\"), or `{request, connect}`")
            }
            fn visit_u64<E: de::Error>(self, millis: u64) -> Result<Timeouts, E> {
                Millis::try_from(millis).map(|_| Timeouts).map_err(E::custom)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timeouts, E> {
                text.parse::<Millis>().map(|_| Timeouts).map_err(E::custom)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Timeouts, A::Error> {
                NamedTimeouts::deserialize(de::value::MapAccessDeserializer::new(map)).map(|_| Timeouts)
            }
        }
        deserializer.deserialize_any(NumberOrNames)
    }
}

/// `security`: where requests may go, from where they may come, and how clients say who they are.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Security {
    pub(super) allowed_hosts: Option<IgnoredAny>,
    #[serde(rename = "blockedIPs", alias = "blockedIps")]
    pub(super) blocked_ips: Option<IgnoredAny>,
    pub(super) trusted_proxies: Option<IgnoredAny>,
    access: Option<IgnoredAny>,
    pub(super) auth: Option<ApiKeys>,
    pub(super) cors: Option<IgnoredAny>,
    pub(super) rate_limiting: Option<IgnoredAny>,
}

/// `security.auth`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "there is one kind")]
pub(super) struct ApiKeys {
    #[serde(rename = "type", default)]
    kind: AuthKind,
    header: Option<IgnoredAny>,
    forward_credential: Option<IgnoredAny>,
    jwt: Option<IgnoredAny>,
    on_redis_failure: Option<IgnoredAny>,
    keys: Option<IgnoredAny>,
    withheld_keys: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum AuthKind {
    #[default]
    ApiKey,
}

/// `rateLimit`: where budgets are kept, the limit of all routes together, and limits by path.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct RateLimits {
    pub(super) enabled: Option<bool>,
    pub(super) backend: Option<Budgets>,
    pub(super) redis: Option<RedisUrl>,
    pub(super) global: Option<IgnoredAny>,
    fields: Option<IgnoredAny>,
    pub(super) per_route: Option<Vec<IgnoredAny>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RedisUrl {
    pub(super) url: String,
}

/// `redis` of the old files.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Redis {
    pub(super) enabled: Option<bool>,
    pub(super) url: Option<String>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) password: Option<String>,
    pub(super) db: Option<u8>,
    pub(super) key_prefix: Option<String>,
}

/// `logging`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Logging {
    pub(super) level: Option<Level>,
    pub(super) format: Option<Format>,
    sampling: Option<IgnoredAny>,
    redaction: Option<Redaction>,
}

/// A level, by the names of either version.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Level {
    Error,
    Warn,
    #[serde(alias = "http")]
    Info,
    #[serde(alias = "verbose")]
    Debug,
    #[serde(alias = "silly")]
    Trace,
}

impl Level {
    /// As a filter.
    pub(super) fn filter(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Format {
    Json,
    Text,
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Json => Self::Json,
            Format::Text => Self::Text,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "checked only")]
struct Redaction {
    enabled: Option<bool>,
    fields: Option<Vec<String>>,
}

/// `metrics` of the old files.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Metrics {
    enabled: Option<bool>,
    port: Option<u16>,
    path: Option<String>,
}

/// `http` of the old files: its connection pool.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Http {
    max_sockets: Option<u32>,
    max_free_sockets: Option<u32>,
    timeout: Option<Millis>,
    keep_alive: Option<bool>,
}

/// `backpressure` of the old files.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Backpressure {
    enabled: Option<bool>,
    max_queue_size: Option<u32>,
    max_connections: Option<u32>,
    queue_timeout: Option<Millis>,
}

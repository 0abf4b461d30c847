//! The sections of a file beside `upstreams` and `routes`: what may stand in each.
//!
//! A field that is only checked here is read from the tree where it is used: positions matter more than values. What a
//! field of settings may be is said by `Settings` alone; `schema.rs` puts it where `dialect.rs` says that it stands.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are shown by editors and in docs/configuration.md, where an underscored name is a name"
)]

mod timeouts;

use std::net::IpAddr;

use flexgate_schemas::{FileName, KeyId, Millis, Route, Upstream, key::GivenKey};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de, de::IgnoredAny};

use super::super::{budgets::Budgets, log::LogFormat, tls::TlsSection};

pub(super) use timeouts::{NamedTimeouts, Timeouts};

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

/// The configuration of FlexGate: where requests go, and under which policies.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "the whole file as its schema shows it; it is read section by section"
)]
pub(super) struct File {
    /// Backends, each with a name that routes use.
    upstreams: Option<Vec<Upstream>>,
    /// Which requests go where. The most specific route wins, whatever the order; `priority` beats that.
    routes: Option<Vec<Route>>,
    /// This node's listener, and what holds for all routes.
    proxy: Option<Proxy>,
    /// How much clients may send, and how long they may take about it.
    #[schemars(with = "Option<Anything>")]
    limits: Option<IgnoredAny>,
    /// Where requests may go, from where they may come, and how clients say who they are.
    security: Option<Security>,
    /// How many requests may pass: of all routes together, and by path.
    rate_limit: Option<RateLimits>,
    /// What is logged, and which requests have a row of their own.
    logging: Option<Logging>,
    /// How much of a request may be seen in what is written of it.
    #[schemars(with = "Option<Anything>")]
    privacy: Option<IgnoredAny>,
    /// Timeouts, as the old files have them: write `proxy.timeout`, `proxy.connectTimeout` and `limits.keepAliveTimeout`.
    #[schemars(extend("deprecated" = true))]
    timeouts: Option<NamedTimeouts>,
    /// Redis, as the old files have it: write `rateLimit.redis.url`, or set REDIS_URL.
    #[schemars(extend("deprecated" = true, "x-applies" = "restart"))]
    redis: Option<Redis>,
    /// The metrics of the old files.
    #[schemars(extend("deprecated" = true))]
    metrics: Option<Metrics>,
    /// The connection pool of the old files.
    #[schemars(extend("deprecated" = true))]
    http: Option<Http>,
    /// The queue of the old files.
    #[schemars(extend("deprecated" = true))]
    backpressure: Option<Backpressure>,
    /// By what this file is known again, wherever it lies and whatever it is called there; its file name unless said.
    #[schemars(extend("examples" = ["shop"]))]
    name: Option<FileName>,
    /// The version of this format.
    #[schemars(extend("pattern" = "^1(\\.|$)", "examples" = ["1.0.0"]))]
    version: Option<String>,
    /// Anything, for people.
    #[schemars(extend("deprecated" = true))]
    #[schemars(with = "Option<Anything>")]
    metadata: Option<IgnoredAny>,
}

/// `proxy`: this node's listener, and defaults for all routes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Proxy {
    /// Where the data plane listens. On port 3000 the admin API moves to 3001.
    #[schemars(extend("x-applies" = "restart", "default" = 8000, "minimum" = 0))]
    pub(super) port: Option<u16>,
    /// The address that the data plane listens on; `0.0.0.0` for all.
    #[schemars(extend("x-applies" = "restart", "default" = "127.0.0.1"))]
    #[serde(deserialize_with = "address")]
    pub(super) host: Option<IpAddr>,
    /// How long a response may take to begin, where neither route nor upstream says.
    pub(super) timeout: Option<Timeouts>,
    pub(super) connect_timeout: Option<Millis>,
    #[schemars(with = "Option<Anything>")]
    pub(super) trusted_proxies: Option<IgnoredAny>,
    /// Only `false` is taken: whose X-Forwarded-For is believed must be said in `trustedProxies`.
    #[schemars(extend("deprecated" = true, "enum" = [false]))]
    #[serde(rename = "trustProxy")]
    pub(super) trusts_all: Option<bool>,
    pub(super) forwarded: Option<bool>,
    #[schemars(with = "Option<Anything>")]
    pub(super) max_body_size: Option<IgnoredAny>,
    #[schemars(with = "Option<Anything>")]
    pub(super) cors: Option<IgnoredAny>,
    #[schemars(with = "Option<Anything>")]
    compression: Option<IgnoredAny>,
    /// TLS with clients. Files that change are noticed; what is said here is read at start.
    #[schemars(extend("x-applies" = "restart"))]
    pub(super) tls: Option<TlsSection>,
}

/// An address of this machine, in words of ours where it is none.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let address = if text == "localhost" { "127.0.0.1" } else { &text };
    address.parse().map(Some).map_err(|_| {
        de::Error::custom(format_args!(
            "{text:?} is not an address to listen on: write `127.0.0.1`, `0.0.0.0` for all, or `::`"
        ))
    })
}

/// Whatever it is: another place says what it may be.
struct Anything;

impl JsonSchema for Anything {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Anything".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({})
    }
}

/// `security`: where requests may go, from where they may come, and how clients say who they are.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Security {
    #[schemars(with = "Option<Anything>")]
    pub(super) allowed_hosts: Option<IgnoredAny>,
    #[serde(rename = "blockedIPs", alias = "blockedIps")]
    #[schemars(with = "Option<Anything>")]
    pub(super) blocked_ips: Option<IgnoredAny>,
    #[schemars(with = "Option<Anything>")]
    pub(super) trusted_proxies: Option<IgnoredAny>,
    #[schemars(with = "Option<Anything>")]
    access: Option<IgnoredAny>,
    /// How clients say who they are, and the keys that this file gives out.
    pub(super) auth: Option<ApiKeys>,
    #[schemars(with = "Option<Anything>")]
    pub(super) cors: Option<IgnoredAny>,
    #[schemars(with = "Option<Anything>", extend("deprecated" = true))]
    pub(super) rate_limiting: Option<IgnoredAny>,
}

/// `security.auth`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "there is one kind")]
pub(super) struct ApiKeys {
    /// How clients are told apart; there is one kind.
    #[serde(rename = "type", default)]
    kind: AuthKind,
    #[schemars(with = "Option<Anything>")]
    header: Option<IgnoredAny>,
    #[schemars(with = "Option<Anything>")]
    forward_credential: Option<IgnoredAny>,
    #[schemars(with = "Option<Anything>")]
    jwt: Option<IgnoredAny>,
    #[schemars(with = "Option<Anything>")]
    on_redis_failure: Option<IgnoredAny>,
    /// Keys by the SHA-256 of their secrets: what each opens.
    #[schemars(with = "Option<Vec<GivenKey>>")]
    keys: Option<IgnoredAny>,
    /// Ids of keys that are there already, and stay as they are: what `flexgate export` writes in the place of their hashes.
    #[schemars(with = "Option<Vec<KeyId>>")]
    withheld_keys: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase")]
enum AuthKind {
    #[default]
    ApiKey,
}

/// `rateLimit`: where budgets are kept, the limit of all routes together, and limits by path.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct RateLimits {
    /// `false`: neither `global` nor `perRoute` holds. Limits of routes themselves do.
    #[schemars(extend("default" = true))]
    pub(super) enabled: Option<bool>,
    /// Who counts: all nodes together through Redis, where there is one, or each node by itself.
    #[schemars(extend("x-applies" = "restart", "default" = "redis"))]
    pub(super) backend: Option<Budgets>,
    /// Where budgets are kept.
    #[schemars(extend("x-applies" = "restart"))]
    pub(super) redis: Option<RedisUrl>,
    #[schemars(with = "Option<Anything>")]
    pub(super) global: Option<IgnoredAny>,
    #[schemars(with = "Option<Anything>")]
    fields: Option<IgnoredAny>,
    /// Limits of routes of this file, by their path exactly as written. A route's own limit is the stronger.
    #[schemars(with = "Option<Anything>")]
    pub(super) per_route: Option<Vec<IgnoredAny>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
pub(super) struct RedisUrl {
    /// The server, as `redis://` or `rediss://`; REDIS_URL is stronger.
    #[schemars(extend("examples" = ["redis://localhost:6379"]))]
    pub(super) url: String,
}

/// `redis` of the old files.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Redis {
    /// `false`: as if the section were not there.
    pub(super) enabled: Option<bool>,
    /// The server; instead of the keys below.
    pub(super) url: Option<String>,
    /// Its host.
    pub(super) host: Option<String>,
    /// Its port; 6379.
    pub(super) port: Option<u16>,
    /// Its password.
    pub(super) password: Option<String>,
    /// The number of its database; 0.
    pub(super) db: Option<u8>,
    /// Not kept.
    pub(super) key_prefix: Option<String>,
}

/// `logging`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Logging {
    /// The least that is logged; FLEXGATE_LOG is stronger, and can say it for each part.
    #[schemars(extend("x-applies" = "restart", "default" = "info"))]
    pub(super) level: Option<Level>,
    /// The form of a line.
    #[schemars(extend("x-applies" = "restart", "default" = "text"))]
    pub(super) format: Option<Format>,
    #[schemars(with = "Option<Anything>")]
    sampling: Option<IgnoredAny>,
    /// The redaction of the old files.
    #[schemars(extend("deprecated" = true))]
    redaction: Option<Redaction>,
}

/// A level, by the names of either version.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(inline)]
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

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(inline)]
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

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "checked only")]
struct Redaction {
    /// Not kept.
    enabled: Option<bool>,
    /// Not kept.
    fields: Option<Vec<String>>,
}

/// `metrics` of the old files.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Metrics {
    /// Not kept.
    enabled: Option<bool>,
    /// Not kept.
    port: Option<u16>,
    /// Not kept.
    path: Option<String>,
}

/// `http` of the old files: its connection pool.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Http {
    /// Not kept.
    max_sockets: Option<u32>,
    /// Not kept.
    max_free_sockets: Option<u32>,
    /// Not kept.
    timeout: Option<Millis>,
    /// Not kept.
    keep_alive: Option<bool>,
}

/// `backpressure` of the old files.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Backpressure {
    /// Not kept.
    enabled: Option<bool>,
    /// Not kept.
    max_queue_size: Option<u32>,
    /// Not kept.
    max_connections: Option<u32>,
    /// Not kept.
    queue_timeout: Option<Millis>,
}

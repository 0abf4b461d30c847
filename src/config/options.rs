//! Every option of a process by its variable: what it does, what holds without it, and where its value came from.

use super::{Config, Sources, file::NodeOverrides, sealing, servers::ServerUrl};

/// One option. It is named like its environment variable; several have one on the command line too.
#[derive(Debug)]
pub struct StartOption {
    /// The variable.
    pub name: &'static str,
    /// What it does.
    pub says: &'static str,
    /// What holds without it, in words where it is not a value.
    pub default: &'static str,
    kind: Kind,
}

/// How a value is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// The address of a server: without what could be a secret.
    Url,
    /// Not at all.
    Secret,
}

/// A value, and where it was said.
#[derive(Debug, PartialEq, Eq)]
pub struct Effective {
    /// As it is shown: secrets are not.
    pub value: String,
    /// The option, the variable, the line of `.env`, the key of the file; or `default`.
    pub from: String,
}

const fn option(name: &'static str, says: &'static str, default: &'static str) -> StartOption {
    StartOption {
        name,
        says,
        default,
        kind: Kind::Plain,
    }
}

impl StartOption {
    const fn shown_as(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }
}

/// All of them, in the order of a page about them.
pub const OPTIONS: [StartOption; 40] = [
    option("FLEXGATE_CONFIG", "the configuration file", "none"),
    option(
        "FLEXGATE_DATA_DIR",
        "where everything is kept that must survive a restart",
        ".flexgate",
    ),
    option(
        "FLEXGATE_NODE_ID",
        "the id of the node",
        "made at the first start, and kept in the data folder",
    ),
    option(
        "FLEXGATE_ROLES",
        "what `serve` runs: `gateway`, `admin`, `projector`, `reactor`, separated by commas",
        "none",
    ),
    option(
        "FLEXGATE_PROXY_ADDR",
        "where the data plane listens",
        "127.0.0.1:8000",
    ),
    option(
        "PORT",
        "the port of the data plane; FLEXGATE_PROXY_ADDR is the stronger of the two in one place",
        "8000",
    ),
    option(
        "FLEXGATE_PROXY_TLS_ADDR",
        "where the data plane speaks TLS, if it has a certificate",
        "127.0.0.1:8443",
    ),
    option(
        "FLEXGATE_TLS_CERTIFICATE",
        "files with certificates and their chains, in PEM, separated by commas",
        "none",
    ),
    option(
        "FLEXGATE_TLS_KEY",
        "files with their private keys, in the same order",
        "none",
    ),
    option("FLEXGATE_TLS_MIN_VERSION", "`1.2` or `1.3`", "1.2"),
    option(
        "FLEXGATE_TLS_CLIENT_CA",
        "a file with those who may have signed certificates of clients",
        "none",
    ),
    option(
        "FLEXGATE_TLS_CLIENT_AUTH",
        "`none`, `optional` or `required`",
        "required where there is a client CA",
    ),
    option(
        "FLEXGATE_ADMIN_ADDR",
        "where the admin API listens, and where clients look for it",
        "127.0.0.1:3000",
    ),
    option(
        "FLEXGATE_OPS_ADDR",
        "health and metrics of a process without the admin role",
        "127.0.0.1:9900",
    ),
    option(
        "FLEXGATE_ADMIN_TOKEN",
        "opens the admin API",
        "made at the first start, and kept in the data folder",
    )
    .shown_as(Kind::Secret),
    option(
        sealing::KEY,
        "keys that secrets of the configuration are sealed with, separated by commas",
        "none",
    )
    .shown_as(Kind::Secret),
    option(
        "FLEXGATE_SECRET_KEY_FILE",
        "a file with such keys, which nobody else may read",
        "none",
    ),
    option("NATS_URL", "NATS with JetStream", "`up` starts one").shown_as(Kind::Url),
    option(
        "DATABASE_URL",
        "PostgreSQL, for the read models",
        "`up` starts one",
    )
    .shown_as(Kind::Url),
    option("DATABASE_USER", "its user, where the URL names none", "none"),
    option(
        "DATABASE_PASSWORD",
        "its password, where the URL has none",
        "none",
    )
    .shown_as(Kind::Secret),
    option(
        "REDIS_URL",
        "Redis or Valkey, for budgets of rate limits",
        "`up` starts one",
    )
    .shown_as(Kind::Url),
    option(
        "FLEXGATE_NATS_BIN",
        "the nats-server that `up` starts",
        "looked for",
    ),
    option(
        "FLEXGATE_POSTGRES_BIN",
        "the postgres that `up` starts",
        "looked for",
    ),
    option(
        "FLEXGATE_VALKEY_BIN",
        "the valkey-server that `up` starts",
        "looked for",
    ),
    option(
        "FLEXGATE_STREAM_PREFIX",
        "what the names of streams, subjects and keys in Redis begin with",
        "FLEXGATE",
    ),
    option(
        "FLEXGATE_RATE_LIMIT_BACKEND",
        "`redis`, or `memory`: each node counts by itself",
        "redis",
    ),
    option("FLEXGATE_THREADS", "threads of the data plane", "one per core"),
    option(
        "FLEXGATE_CONNECTIONS_MAX",
        "connections of clients at once; further ones wait",
        "16384",
    ),
    option(
        "FLEXGATE_CLIENT_CONNECTIONS_MAX",
        "the same of one client's address; further ones are closed",
        "no bound",
    ),
    option(
        "FLEXGATE_DNS_SERVERS",
        "name servers for upstreams, separated by commas",
        "those of the system",
    ),
    option(
        "FLEXGATE_LOG",
        "what is logged, such as `info,flexgate::gateway=debug`",
        "info,async_nats=warn,sqlx=warn",
    ),
    option("FLEXGATE_LOG_FORMAT", "`text` or `json`", "text"),
    option(
        "FLEXGATE_RECORDING",
        "`off`: nothing is recorded of requests",
        "on",
    ),
    option(
        "FLEXGATE_OUTBOX_BYTES",
        "how much of that may wait on the disk for NATS",
        "1gb",
    ),
    option(
        "FLEXGATE_REQUESTS_DAYS",
        "for how many days a projector keeps rows of requests",
        "7",
    ),
    option(
        "FLEXGATE_REQUESTS_BYTES",
        "how many bytes of them it keeps",
        "10gb",
    ),
    option(
        "FLEXGATE_DRAIN_DELAY",
        "for how long a process that ends still accepts, while it says that it is not ready",
        "5s, 0s with `up`",
    ),
    option(
        "FLEXGATE_DRAIN_DEADLINE",
        "how long requests in flight may take after that",
        "20s",
    ),
    option(
        "NO_COLOR",
        "no colours, if it has a value",
        "colours on a terminal",
    ),
];

impl StartOption {
    /// What it is, by these sources and what was read of them.
    pub fn effective(&self, sources: &Sources, config: &Config) -> Effective {
        let listens = match self.name {
            "FLEXGATE_PROXY_ADDR" => Some(config.listen.proxy),
            "FLEXGATE_ADMIN_ADDR" => Some(config.listen.admin),
            "FLEXGATE_OPS_ADDR" => Some(config.listen.ops),
            _ => None,
        };
        let names: &[&str] = match self.name {
            "FLEXGATE_PROXY_ADDR" => &["FLEXGATE_PROXY_ADDR", "PORT"],
            _ => &[self.name],
        };
        if let Some(found) = sources.find(names) {
            let value = match self.kind {
                Kind::Plain => listens.map_or_else(|| found.value.to_owned(), |address| address.to_string()),
                Kind::Url => ServerUrl::shown(found.value),
                Kind::Secret => "***".to_owned(),
            };
            return Effective {
                value,
                from: found.written.to_owned(),
            };
        }
        let file = config.file_source.as_ref().zip(config.file.as_ref());
        let in_file = file.and_then(|(source, loaded)| {
            let (key, value) = self.in_file(&loaded.node)?;
            let from = format!("{key} in {}", source.path.display());
            Some(Effective { value, from })
        });
        in_file.unwrap_or_else(|| {
            let value = listens.map_or_else(|| self.default.to_owned(), |address| address.to_string());
            let moved = listens.is_some() && value != self.default;
            let from = if moved {
                "moved, out of the proxy's way"
            } else {
                "default"
            };
            Effective {
                value,
                from: from.to_owned(),
            }
        })
    }

    fn in_file(&self, node: &NodeOverrides) -> Option<(&'static str, String)> {
        let address = || {
            let host = node.host.map_or("127.0.0.1".to_owned(), |host| host.to_string());
            (node.host.is_some() || node.port.is_some())
                .then(|| format!("{host}:{}", node.port.unwrap_or(8000)))
        };
        Some(match self.name {
            "FLEXGATE_PROXY_ADDR" => ("proxy", address()?),
            "PORT" => ("proxy.port", node.port?.to_string()),
            "REDIS_URL" => ("rateLimit.redis", node.redis.as_ref()?.to_string()),
            "FLEXGATE_RATE_LIMIT_BACKEND" => {
                ("rateLimit.backend", format!("{:?}", node.budgets?).to_lowercase())
            }
            "FLEXGATE_LOG" => ("logging.level", node.log_level.clone()?),
            "FLEXGATE_LOG_FORMAT" => ("logging.format", format!("{:?}", node.log_format?).to_lowercase()),
            "FLEXGATE_TLS_MIN_VERSION" => ("proxy.tls.minVersion", node.tls.as_ref()?.min_version.clone()?),
            "FLEXGATE_TLS_CLIENT_CA" => (
                "proxy.tls.clientCa",
                node.tls.as_ref()?.client_ca.as_ref()?.display().to_string(),
            ),
            _ => return None,
        })
    }
}

/// Whether this is the name of one.
pub(super) fn is_known(name: &str) -> bool {
    OPTIONS.iter().any(|option| option.name == name)
}

//! What this node is told: where to listen, which servers to use, where to keep its data. Read once, at start.
//!
//! Every value comes from the strongest source that names it: command line, environment, `.env` file, configuration
//! file, default. Nothing here is an event: what holds for the whole cluster is in `flexgate_schemas::Settings`.
//! No other module reads the environment.

mod addresses;
mod budgets;
mod environment;
mod escape;
pub mod file;
mod finding;
mod log;
mod name_servers;
mod options;
mod reader;
mod recording;
mod roles;
mod run_record;
mod sealing;
mod secrets;
mod servers;
mod streams;
pub mod tls;
mod token;

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use flexgate_projections::Retention;
use flexgate_schemas::NodeId;

pub use addresses::Listen;
pub use budgets::Budgets;
pub use environment::{Layer, Sources, colour_is_welcome};
pub use escape::escape;
pub use finding::{ConfigError, Finding, Place, Severity, SourceText};
pub use log::{Log, LogFormat};
pub use options::{Effective, OPTIONS, StartOption};
pub use recording::Recording;
pub use roles::{Role, Roles};
pub use run_record::RunRecord;
pub use sealing::keys as sealing_keys;
pub use secrets::{Redacted, SecretResolver, SecretUnresolved};
pub use servers::{ServerBinaries, ServerUrl, Servers};
pub use streams::StreamPrefix;
pub use token::{AdminToken, TokenError};

use crate::sealing::SealingKeys;
use reader::Reader;

/// Everything a node is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything that must survive a restart is kept.
    pub data_dir: PathBuf,
    /// The id to take instead of the one in the data folder.
    pub node_id: Option<NodeId>,
    /// What this process does.
    pub roles: Roles,
    /// Whether a demo upstream runs inside this process.
    pub demo: bool,
    /// Where it listens.
    pub listen: Listen,
    /// Where and how it speaks TLS with clients, if it does.
    pub tls: Option<tls::Tls>,
    /// NATS, PostgreSQL, Redis.
    pub servers: Servers,
    /// Where the budgets of rate limits are kept.
    pub budgets: Budgets,
    /// What the names of streams and subjects begin with, and of keys in Redis.
    pub streams: StreamPrefix,
    /// How many connections clients may have.
    pub connections: Connections,
    /// Data-plane threads, each with its own listener socket and connection pools.
    pub threads: NonZeroUsize,
    /// `FLEXGATE_DNS_SERVERS`: the name servers to ask for upstreams; empty: those of the system.
    pub name_servers: Vec<SocketAddr>,
    /// What is logged, and how.
    pub log: Log,
    /// Whether and how it is recorded what became of requests; none: not at all.
    pub recording: Option<Recording>,
    /// How long a projector keeps the rows of requests.
    pub retention: Retention,
    /// How it goes away.
    pub drain: Drain,
    /// The admin token that was given; without one it is kept in the data folder, see [`AdminToken::obtain`].
    pub admin_token: Option<AdminToken>,
    /// The configuration file, read and valid on its own. The admin role applies it.
    pub file: Option<file::Loaded>,
    /// Where that is, to be read again when it changes.
    pub file_source: Option<file::FileSource>,
    /// A configuration file that cannot be read, of a process that may serve what is in the log instead.
    pub unreadable: Option<(file::FileSource, ConfigError)>,
    /// What seals secrets, if this node was given keys for that.
    pub sealing: Option<Arc<SealingKeys>>,
    /// Resolves secrets by this node's environment, its files and its keys.
    pub secrets: SecretResolver,
    /// What was decided for the user and may surprise them. To be shown at start.
    pub warnings: Vec<Finding>,
}

/// How many connections of clients a gateway has at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Connections {
    /// In all; none: as many as the gateway has by default.
    pub max: Option<NonZeroUsize>,
    /// Of one address; none: as many as there are in all.
    pub per_client_max: Option<NonZeroUsize>,
}

/// How a process goes away after SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// For how long it still accepts while `/health/ready` says 503, so that load balancers notice first.
    pub delay: Duration,
    /// How long requests in flight may take after that.
    pub deadline: Duration,
}

/// What the configuration is read for; some defaults differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// All roles in one process, with servers of its own.
    Up {
        /// With a demo upstream.
        demo: bool,
    },
    /// Some roles, against servers that exist.
    Serve,
    /// A command that talks to a running process. The configuration file is not read.
    Client,
}

impl Config {
    /// Reads everything and reports every mistake at once.
    pub fn load(sources: &Sources, purpose: Purpose) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(sources);
        let file = match purpose {
            Purpose::Up { .. } | Purpose::Serve => reader.file("FLEXGATE_CONFIG"),
            Purpose::Client => None,
        };
        let (file_source, read) = file.unzip();
        let node = match (&read, &file_source) {
            (Some(Ok(loaded)), _) => loaded.node.clone(),
            (Some(Err(_)), Some(source)) => source.node(),
            _ if purpose == Purpose::Client => file::NodeOverrides::default(),
            _ => reader.without_file(),
        };

        let listen = addresses::read(&mut reader, &node);
        let tls = tls::read(&mut reader, listen.proxy, node.tls.as_ref());
        let servers = servers::read(&mut reader, &node);
        let roles = roles::read(&mut reader, purpose);
        let sealing = match purpose {
            Purpose::Up { .. } | Purpose::Serve => sealing::read(&mut reader),
            Purpose::Client => None,
        };
        let drain = drain(&mut reader, purpose);
        let given_token = reader.find(&["FLEXGATE_ADMIN_TOKEN"]);
        let admin_token = given_token.and_then(|found| reader.parse(found, AdminToken::given));
        let config = Self {
            data_dir: reader
                .path("FLEXGATE_DATA_DIR")
                .unwrap_or_else(|| ".flexgate".into()),
            node_id: reader.parsed("FLEXGATE_NODE_ID"),
            roles,
            demo: purpose == Purpose::Up { demo: true },
            listen,
            tls,
            servers,
            budgets: budgets::read(&mut reader, &node),
            streams: reader.parsed("FLEXGATE_STREAM_PREFIX").unwrap_or_default(),
            connections: Connections {
                max: reader.parsed("FLEXGATE_CONNECTIONS_MAX"),
                per_client_max: reader.parsed("FLEXGATE_CLIENT_CONNECTIONS_MAX"),
            },
            threads: reader.parsed("FLEXGATE_THREADS").unwrap_or_else(all_cores),
            name_servers: name_servers::read(&mut reader),
            log: log::read(&mut reader, &node),
            recording: recording::read(&mut reader),
            retention: recording::retention(&mut reader),
            drain,
            admin_token,
            secrets: SecretResolver::new(sources.all(), sealing.clone()),
            sealing,
            warnings: Vec::new(),
            file: None,
            file_source,
            unreadable: None,
        };
        let config = config.with_file(read, &mut reader);
        let warnings = reader.finish()?;
        Ok(Self { warnings, ..config })
    }

    /// Only who writes the log can serve on without the file; and where more is wrong, all of it is said.
    fn with_file(self, read: Option<Result<file::Loaded, ConfigError>>, reader: &mut Reader<'_>) -> Self {
        let (file, unreadable) = match (read, self.file_source.clone()) {
            (Some(Ok(loaded)), _) => (Some(loaded), None),
            (Some(Err(mistakes)), Some(source)) if self.roles.admin && !reader.has_mistakes() => {
                (None, Some((source, mistakes)))
            }
            (Some(Err(mistakes)), _) => {
                reader.mistaken(mistakes);
                (None, None)
            }
            (None, _) => (None, None),
        };
        Self {
            file,
            unreadable,
            ..self
        }
    }
}

/// As many as the cgroup quota and the affinity mask leave to this process.
fn all_cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn drain(reader: &mut Reader<'_>, purpose: Purpose) -> Drain {
    // Behind a load balancer one period of the usual readiness probe; nobody balances what runs in a terminal.
    let delay = if purpose == Purpose::Serve { 5 } else { 0 };
    // With the delay this stays below the 30 s that Kubernetes waits before it kills.
    let deadline = 20;
    Drain {
        delay: reader
            .span("FLEXGATE_DRAIN_DELAY")
            .unwrap_or(Duration::from_secs(delay)),
        deadline: reader
            .span("FLEXGATE_DRAIN_DEADLINE")
            .unwrap_or(Duration::from_secs(deadline)),
    }
}

//! One process: its roles, started in order and drained in order.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Endpoints, Error, certificates, checks, cluster::Cluster, edge, file, limits, ports::PortClaims,
    projector,
};
use crate::{
    admin::Metrics,
    config::{Config, RunRecord, SecretResolver},
    drain::Tasks,
    gateway::{self, Gateway, Published, Roots, SecretMissing, TokenKeys, TokenKeysReport},
    health::{Check, Dependency, Health},
    journal::{Journal, Status},
    membership::{Identity, Members, identity::IdentityError},
    outcomes::outbox::Outbox,
    telemetry,
};

/// The version of the program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The pause before what a draining process still has is tried again.
const TAKE_AGAIN: Duration = Duration::from_millis(50);
/// How long a process that holds what we need may take to let go of it.
const HOLDER_PATIENCE: Duration = Duration::from_secs(2);
/// How long a start waits for the log when a snapshot can be served.
const LOG_PATIENCE: Duration = Duration::from_millis(50);
/// How long a start waits for the log when there is nothing to serve.
const FIRST_TABLE_PATIENCE: Duration = Duration::from_secs(3);
/// How long the last outcomes may take to the stream, and the outbox to close.
const SHIP_DEADLINE: Duration = Duration::from_secs(8);
/// How long what an end is about may take to the audit log.
const SETTLE_WITHIN: Duration = Duration::from_secs(2);
/// How long tasks may take to end once they were told.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// A running process.
pub struct Process {
    addresses: Addresses,
    health: Health,
    journal: Journal,
    cluster: Cluster,
    gateway: Option<(Gateway, PortClaims)>,
    /// The listeners beside the data plane.
    edge: Tasks,
    /// Everything that follows, reports and keeps.
    control: Tasks,
    /// What says that this node belongs to the cluster.
    membership: Tasks,
    /// What takes outcomes to the stream.
    shipping: Tasks,
    folder: RunFolder,
    identity: Identity,
}

/// Where a process listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Addresses {
    /// The data plane.
    pub proxy: Option<SocketAddr>,
    /// The data plane, where it speaks TLS.
    pub proxy_tls: Option<SocketAddr>,
    /// The admin API.
    pub admin: Option<SocketAddr>,
    /// Health and metrics of a process without the admin role.
    pub ops: Option<SocketAddr>,
}

/// The data folder, as far as it says that we run.
struct RunFolder(std::path::PathBuf);

impl Process {
    /// Starts the roles of a configuration against servers whose streams exist. NATS may be away: then a gateway serves
    /// its snapshot.
    pub async fn start(config: &Config, endpoints: &Endpoints) -> Result<Self, Error> {
        let roles = config.roles;
        if !roles.gateway && !roles.admin && !roles.projector {
            return Err(Error::NoRole);
        }
        let identity = patiently(|| Ok(Identity::take(&config.data_dir, config.node_id.clone())?)).await?;
        let claims = patiently(|| PortClaims::take(ports(config))).await?;
        let takes_over = claims.take_over();
        let (edge_tasks, control, membership, shipping) =
            (Tasks::new(), Tasks::new(), Tasks::new(), Tasks::new());
        // Before anything registers a metric.
        let recorded = telemetry::metrics::Metrics::install();
        recorded.keep(&control);

        let cluster = Cluster::join(config, endpoints, &identity, &control).await?;
        let limiter = limits::limiter((config, endpoints), &identity, &cluster, &control)?;
        let published = Published::new(secrets(config.secrets.clone()), limiter);
        let journal = cluster
            .follow(
                config,
                roles.gateway.then(|| published.clone()),
                &identity,
                &control,
            )
            .await;
        let health = health(&journal);
        checks::watch(&health, endpoints, &cluster.link, &control);
        projector::start(
            (config, endpoints),
            &journal,
            (&cluster, &identity),
            &health,
            &control,
        );

        let gateway = if roles.gateway {
            wait_for_a_table(&journal).await;
            let outbox = cluster.record(config, &identity, &health, &shipping)?;
            let via = via(&journal, &identity);
            keep_token_keys(config, &published, &health, &control);
            let gateway = start_gateway(config, (takes_over, via), (&published, outbox), &control)?;
            cluster.report(&gateway, &journal, &identity, &membership);
            Some((gateway, claims))
        } else {
            None
        };
        let metrics = Metrics::new(move || recorded.render());
        let served = (&journal, &cluster, &health);
        let bound = edge::serve((config, endpoints), served, metrics, (&edge_tasks, takes_over)).await?;
        let addresses = Addresses {
            proxy: gateway.as_ref().map(|(gateway, _)| gateway.local_addr()),
            proxy_tls: gateway.as_ref().and_then(|(gateway, _)| gateway.local_tls_addr()),
            admin: roles.admin.then_some(bound),
            ops: (!roles.admin).then_some(bound),
        };
        let folder = RunFolder::announce(config, &addresses)?;
        tracing::info!(%roles, node = %identity.node, ?addresses, "started");
        Ok(Self {
            addresses,
            health,
            journal,
            cluster,
            gateway,
            edge: edge_tasks,
            control,
            membership,
            shipping,
            folder,
            identity,
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Its journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The members it knows; only kept by the admin role.
    pub fn members(&self) -> &Members {
        &self.cluster.members
    }

    /// Applies the configuration file, if there is one and this process may write.
    /// From then on it is applied whenever it changes.
    pub async fn apply_file(&self, config: &Config) -> Result<(), Error> {
        if !config.roles.admin {
            return Ok(());
        }
        let told = file::Told {
            alerts: self.cluster.alerts.clone(),
            audit: self.cluster.audit.clone(),
        };
        let done = file::at_start(&self.journal, config, &told).await;
        if done.is_err() {
            // The process ends with this.
            self.cluster.audit.settle(SETTLE_WITHIN).await;
        }
        let done = done?;
        // The demo's upstreams are where no file can say.
        if let Some(source) = config.file_source.clone().filter(|_| !config.demo) {
            let ends = (self.journal.clone(), told);
            let warnings = config.file.iter().flat_map(|read| &read.warnings);
            let warned = file::Warned::of(warnings);
            let watching = file::watch(source, (done, warned), ends, self.control.clone());
            self.control.spawn(watching);
        }
        Ok(())
    }

    /// Ends well: not ready any more, no member any more, requests finished. A successor on the same data folder and
    /// ports may start as soon as this has begun.
    pub async fn drain(self) {
        self.health.drain();
        drop((self.folder, self.identity));
        let (gateway, claims) = self.gateway.unzip();
        claims.unwrap_or_default().hand_over();
        let mut tidy = self.membership.stop(STOP_DEADLINE).await;
        if let Some(gateway) = gateway {
            let report = gateway.drain().await;
            tracing::info!(?report, "the gateway has drained");
        }
        tidy &= self.shipping.stop(SHIP_DEADLINE).await;
        tidy &= self.edge.stop(STOP_DEADLINE).await;
        tidy &= self.control.stop(STOP_DEADLINE).await;
        if !tidy {
            tracing::warn!("some tasks did not end in time");
        }
        self.cluster.link.close().await;
    }
}

/// Takes what only one process can have. One that was told to stop lets go of it within moments, so a holder is given
/// those before it counts as one that stays.
async fn patiently<T>(take: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    let until = Instant::now() + HOLDER_PATIENCE;
    loop {
        match take() {
            Err(Error::Identity(IdentityError::Taken(_)) | Error::Port(_)) if Instant::now() < until => {
                tokio::time::sleep(TAKE_AGAIN).await;
            }
            taken => return taken,
        }
    }
}

/// Gives the log a moment before the data plane listens: what is served first should not be older than what the process
/// before us served, and without any table every request would be refused.
async fn wait_for_a_table(journal: &Journal) {
    let mut view = journal.watch();
    let patience = if view.borrow().generation() > 0 {
        LOG_PATIENCE
    } else {
        FIRST_TABLE_PATIENCE
    };
    let table = view.wait_for(|view| view.generation() > 0 && view.status == Status::Following);
    if tokio::time::timeout(patience, table).await.is_err() {
        tracing::warn!("the log cannot be reached: the data plane starts with what the snapshot holds");
    }
}

fn health(journal: &Journal) -> Health {
    let health = Health::new(VERSION);
    health.journal_from(journal.watch());
    // A gateway has more to say of it.
    health.report(
        Dependency::Outbox,
        Check::Off("not a role of this process".into()),
    );
    let view = journal.watch();
    health.routing_from(move || view.borrow().generation() > 0);
    health
}

/// Where the data plane of this process listens, if it has one.
fn ports(config: &Config) -> impl Iterator<Item = (SocketAddr, &'static str)> + use<> {
    let plain = (config.listen.proxy, "FLEXGATE_PROXY_ADDR");
    let encrypted = config
        .tls
        .as_ref()
        .map(|tls| (tls.addr, "FLEXGATE_PROXY_TLS_ADDR"));
    let is_gateway = config.roles.gateway;
    [Some(plain), encrypted]
        .into_iter()
        .flatten()
        .filter(move |_| is_gateway)
}

fn start_gateway(
    config: &Config,
    (takes_over, via): (bool, String),
    (published, outbox): (&Published, Option<Outbox>),
    control: &Tasks,
) -> Result<Gateway, Error> {
    let defaults = gateway::Options::new(config.listen.proxy, via);
    let options = gateway::Options {
        outbox,
        tls: certificates::listen(config.tls.as_ref(), control)?,
        connections_max: config.connections.max.unwrap_or(defaults.connections_max),
        client_connections_max: config.connections.per_client_max,
        threads: config.threads,
        name_servers: config.name_servers.clone(),
        drain_delay: config.drain.delay,
        drain_deadline: config.drain.deadline,
        takes_over,
        ..defaults
    };
    Ok(Gateway::start(options, published)?)
}

/// Keeps what tokens are verified with, and says how that goes.
fn keep_token_keys(config: &Config, published: &Published, health: &Health, control: &Tasks) {
    let keys = TokenKeys::new(published, &config.name_servers, &Roots::default());
    let health = health.clone();
    keys.keep(control, move |report| {
        let check = match report {
            TokenKeysReport::Unused => Check::Off("no provider publishes keys".into()),
            TokenKeysReport::Fresh => Check::Up,
            TokenKeysReport::Stale { provider, reason } => {
                Check::Down(format!("{provider}: {reason}").into())
            }
        };
        health.report(Dependency::Tokens, check);
    });
}

fn secrets(resolver: SecretResolver) -> gateway::Secrets {
    let resolver = Mutex::new(resolver);
    Arc::new(move |secret, purpose| {
        let resolver = resolver.lock().unwrap_or_else(PoisonError::into_inner);
        let value = resolver.resolve(secret, purpose);
        value
            .map(|value| value.expose().clone())
            .map_err(|error| SecretMissing(error.to_string()))
    })
}

/// How this cluster calls itself in `Via`; a node that knows of no cluster yet uses its own id.
fn via(journal: &Journal, identity: &Identity) -> String {
    let view = journal.view();
    let id = view
        .cluster()
        .map_or(identity.node.as_str(), |cluster| cluster.as_str());
    format!("flexgate-{}", &id[..id.len().min(8)])
}

impl RunFolder {
    fn announce(config: &Config, addresses: &Addresses) -> Result<Self, Error> {
        let record = RunRecord {
            admin: addresses.admin,
            ops: addresses.ops,
            proxy: addresses.proxy,
            pid: std::process::id(),
        };
        record.write(&config.data_dir)?;
        Ok(Self(config.data_dir.clone()))
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if let Err(error) = RunRecord::remove(&self.0) {
            tracing::warn!(%error, "the data folder still says that this process runs");
        }
    }
}

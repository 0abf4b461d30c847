//! One process: its roles, started in order and drained in order.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::Router;
use http::HeaderValue;
use tokio::net::TcpListener;

use super::{Endpoints, Error, checks, file, ports::PortClaim, projector};
use crate::{
    admin::{self, Admin, Metrics, Token},
    config::{AdminToken, Config, RunRecord, SecretResolver},
    drain::Tasks,
    gateway::{self, Changed, Gateway, Published, SecretMissing},
    health::Health,
    journal::{
        self, Fold, Journal, Options, Served,
        alerts::{self, Alerts},
        jetstream::{JetStreamLog, Link, Names},
        snapshot::{self, Snapshots},
    },
    listener,
    membership::{self, Identity, Members, Reporter, heartbeat},
    ops, telemetry,
};

/// The version of the program.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long tasks may take to end once they were told.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// A running process.
pub struct Process {
    addresses: Addresses,
    health: Health,
    journal: Journal,
    cluster: Cluster,
    gateway: Option<(Gateway, Option<PortClaim>)>,
    /// The listeners beside the data plane.
    edge: Tasks,
    /// Everything that follows, reports and keeps.
    control: Tasks,
    folder: RunFolder,
    _identity: Identity,
}

/// Where a process listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Addresses {
    /// The data plane.
    pub proxy: Option<SocketAddr>,
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
        let identity = Identity::take(&config.data_dir, config.node_id.clone())?;
        let claim = if roles.gateway {
            PortClaim::take(config.listen.proxy)?
        } else {
            None
        };
        let (edge, control) = (Tasks::new(), Tasks::new());
        // Before anything registers a metric.
        let recorded = telemetry::metrics::Metrics::install();
        recorded.keep(&control);

        let cluster = Cluster::join(config, endpoints, &identity, &control).await?;
        let published = Published::new(secrets(config.secrets.clone()));
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
        projector::start(roles, endpoints, &journal, &health, &control);

        let mut addresses = Addresses::default();
        let gateway = if roles.gateway {
            let gateway = start_gateway(config, claim.as_ref(), via(&journal, &identity), &published)?;
            addresses.proxy = Some(gateway.local_addr());
            cluster.report(&gateway, &journal, &identity, &control);
            Some((gateway, claim))
        } else {
            None
        };
        let metrics = Metrics::new(move || recorded.render());
        if roles.admin {
            let admin = Admin {
                journal: journal.clone(),
                members: cluster.members.clone(),
                health: health.clone(),
                token: admin_token(config)?,
                metrics,
                version: VERSION,
                tasks: edge.clone(),
            };
            let router = admin::router(admin);
            addresses.admin = Some(listen(config.listen.admin, "the admin API", router, &edge).await?);
        } else {
            let router = ops::router(health.clone(), metrics);
            addresses.ops = Some(listen(config.listen.ops, "health and metrics", router, &edge).await?);
        }
        let folder = RunFolder::announce(config, &addresses)?;
        tracing::info!(%roles, node = %identity.node, ?addresses, "started");
        Ok(Self {
            addresses,
            health,
            journal,
            cluster,
            gateway,
            edge,
            control,
            folder,
            _identity: identity,
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
    pub async fn apply_file(&self, config: &Config) -> Result<(), Error> {
        match &config.file {
            Some(loaded) if config.roles.admin => {
                file::apply(&self.journal, loaded, &self.cluster.alerts).await
            }
            _ => Ok(()),
        }
    }

    /// Ends well: not ready any more, requests finished, everything said that the others should know.
    pub async fn drain(self) {
        self.health.drain();
        if let Some((gateway, claim)) = self.gateway {
            if let Some(claim) = claim {
                claim.hand_over();
            }
            let report = gateway.drain().await;
            tracing::info!(?report, "the gateway has drained");
        }
        let tidy = self.edge.stop(STOP_DEADLINE).await & self.control.stop(STOP_DEADLINE).await;
        if !tidy {
            tracing::warn!("some tasks did not end in time");
        }
        self.cluster.link.close().await;
        drop(self.folder);
    }
}

/// What a process shares with the others of its cluster.
struct Cluster {
    link: Link,
    names: Names,
    alerts: Alerts,
    members: Members,
}

impl Cluster {
    async fn join(
        config: &Config,
        endpoints: &Endpoints,
        identity: &Identity,
        control: &Tasks,
    ) -> Result<Self, Error> {
        let names = Names::new(config.streams.as_str())?;
        let link = Link::open(&endpoints.nats, &format!("flexgate-{}", identity.node)).await?;
        let (alerts, raised) = Alerts::channel(identity.node.clone());
        control.spawn(alerts::publish(
            link.clone(),
            names.clone(),
            raised,
            control.clone(),
        ));
        let members = Members::new(link.clone(), names.clone());
        if config.roles.admin {
            control.spawn(membership::listen(
                members.clone(),
                alerts.clone(),
                control.clone(),
            ));
        }
        Ok(Self {
            link,
            names,
            alerts,
            members,
        })
    }

    /// Follows the log from the newest snapshot on, and keeps snapshots.
    async fn follow(
        &self,
        config: &Config,
        published: Option<Published>,
        identity: &Identity,
        control: &Tasks,
    ) -> Journal {
        let snapshots = Snapshots::in_folder(config.data_dir.join("snapshots"));
        let options = Options {
            store: JetStreamLog::new(self.link.clone(), &self.names),
            snapshot: load(&snapshots).await,
            serve: self.serve(published, identity),
            alerts: self.alerts.clone(),
            writer: config.roles.admin.then(|| self.members.lowest_reader()),
        };
        let journal = Journal::start(options, control);
        control.spawn(snapshot::keep(snapshots, journal.watch(), control.clone()));
        journal
    }

    /// Publishes each state to the data plane and announces it to whoever waits.
    fn serve(&self, published: Option<Published>, identity: &Identity) -> journal::Serve {
        let (link, names, node) = (self.link.clone(), self.names.clone(), identity.node.clone());
        Box::new(move |fold: &Fold, served: Served| {
            let Some(published) = &published else { return };
            let changed = match served {
                Served::All => Changed::All,
                Served::Entities(entities) => Changed::Entities(entities),
            };
            published.publish(&fold.state, &changed, fold.generation, fold.revision);
            heartbeat::announce(&link, &names, &node, fold);
        })
    }

    fn report(&self, gateway: &Gateway, journal: &Journal, identity: &Identity, control: &Tasks) {
        let place = (self.link.clone(), self.names.clone());
        let reporter = Reporter::new(
            place,
            identity,
            gateway.local_addr().to_string(),
            gateway.request_count(),
        );
        control.spawn(reporter.run(journal.watch(), control.clone()));
    }
}

fn health(journal: &Journal) -> Health {
    let health = Health::new(VERSION);
    health.journal_from(journal.watch());
    let view = journal.watch();
    health.routing_from(move || view.borrow().generation() > 0);
    health
}

fn start_gateway(
    config: &Config,
    claim: Option<&PortClaim>,
    via: String,
    published: &Published,
) -> Result<Gateway, Error> {
    let options = gateway::Options {
        threads: config.threads,
        drain_delay: config.drain.delay,
        drain_deadline: config.drain.deadline,
        takes_over: claim.is_some_and(|claim| claim.takes_over),
        ..gateway::Options::new(config.listen.proxy, via)
    };
    Ok(Gateway::start(options, published)?)
}

async fn listen(
    wanted: SocketAddr,
    what: &'static str,
    router: Router,
    edge: &Tasks,
) -> Result<SocketAddr, Error> {
    let failed = |error| Error::Listen {
        addr: wanted,
        what,
        error,
    };
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let tasks = edge.clone();
    edge.spawn(async move { listener::serve(listener, router, &tasks).await });
    Ok(bound)
}

async fn load(snapshots: &Snapshots) -> Option<Fold> {
    let snapshots = snapshots.clone();
    tokio::task::spawn_blocking(move || snapshots.load())
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "the snapshot could not be read");
            None
        })
}

fn secrets(resolver: SecretResolver) -> gateway::Secrets {
    let resolver = Mutex::new(resolver);
    Arc::new(move |secret| {
        let resolver = resolver.lock().unwrap_or_else(PoisonError::into_inner);
        let value = resolver
            .resolve(secret)
            .map_err(|error| SecretMissing(error.to_string()))?;
        HeaderValue::from_str(value.expose())
            .map_err(|_| SecretMissing(format!("{secret} has characters that no header field can have")))
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

fn admin_token(config: &Config) -> Result<Token, Error> {
    if let Some(token) = &config.admin_token {
        return Ok(Token::new(token.expose(), "FLEXGATE_ADMIN_TOKEN"));
    }
    let (token, _made) = AdminToken::obtain(&config.data_dir)?;
    Ok(Token::new(
        token.expose(),
        &AdminToken::path(&config.data_dir).display().to_string(),
    ))
}

impl RunFolder {
    fn announce(config: &Config, addresses: &Addresses) -> Result<Self, Error> {
        if let Some(admin) = addresses.admin {
            let record = RunRecord {
                admin,
                proxy: addresses.proxy,
                pid: std::process::id(),
            };
            record.write(&config.data_dir)?;
        }
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

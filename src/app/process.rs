//! One process: its roles, started in order and drained in order.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use tokio::net::TcpListener;

use super::{Endpoints, Error, checks, file, ports::PortClaim};
use crate::{
    admin::{self, Admin, Metrics, Token},
    config::{AdminToken, Config, SecretResolver, run_record::RunRecord},
    drain::Tasks,
    gateway::{self, Changed, Gateway, Published, SecretMissing},
    health::Health,
    journal::{
        Fold, Journal, Options, Served,
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
    members: Members,
    alerts: Alerts,
    link: Link,
    gateway: Option<(Gateway, Option<PortClaim>)>,
    /// The listeners beside the data plane.
    edge: Tasks,
    /// Everything that follows, reports and keeps.
    control: Tasks,
    config: RunFolder,
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
        if !roles.gateway && !roles.admin {
            return Err(Error::NoRole);
        }
        let identity = Identity::take(&config.data_dir, config.node_id.clone())?;
        let claim = if roles.gateway { PortClaim::take(config.listen.proxy)? } else { None };
        let (edge, control) = (Tasks::new(), Tasks::new());
        // Before anything registers a metric.
        let recorded = telemetry::metrics::Metrics::install();
        recorded.keep(&control);
        let metrics = Metrics::new(move || recorded.render());
        let health = Health::new(VERSION);
        let names = Names::new(config.streams.as_str())?;
        let link = Link::open(&endpoints.nats, &format!("flexgate-{}", identity.node)).await?;

        let (alerts, raised) = Alerts::channel(identity.node.clone());
        control.spawn(alerts::publish(link.clone(), names.clone(), raised, control.clone()));
        let members = Members::new(link.clone(), names.clone());
        if roles.admin {
            control.spawn(membership::listen(members.clone(), alerts.clone(), control.clone()));
        }

        let published = Published::new(secrets(config.secrets.clone()));
        let snapshots = Snapshots::in_folder(config.data_dir.join("snapshots"));
        let journal = Journal::start(
            Options {
                store: JetStreamLog::new(link.clone(), &names),
                snapshot: load(&snapshots).await,
                serve: serve(roles.gateway.then(|| published.clone()), (&link, &names), &identity),
                alerts: alerts.clone(),
                writer: roles.admin.then(|| members.lowest_reader()),
            },
            &control,
        );
        control.spawn(snapshot::keep(snapshots, journal.watch(), control.clone()));
        health.journal_from(journal.watch());
        let serving = journal.watch();
        health.routing_from(move || serving.borrow().generation() > 0);
        checks::watch(&health, endpoints, &link, &control);

        let mut addresses = Addresses::default();
        let gateway = if roles.gateway {
            let takes_over = claim.as_ref().is_some_and(|claim| claim.takes_over);
            let options = gateway::Options {
                threads: config.threads,
                drain_delay: config.drain.delay,
                drain_deadline: config.drain.deadline,
                takes_over,
                ..gateway::Options::new(config.listen.proxy, via(&journal, &identity))
            };
            let gateway = Gateway::start(options, &published)?;
            addresses.proxy = Some(gateway.local_addr());
            let requests = gateway.request_count();
            let reporter =
                Reporter::new((link.clone(), names), &identity, gateway.local_addr().to_string(), requests);
            control.spawn(reporter.run(journal.watch(), control.clone()));
            Some((gateway, claim))
        } else {
            None
        };

        let router = if roles.admin {
            let (token, found_in) = admin_token(config)?;
            let admin = Admin {
                journal: journal.clone(),
                members: members.clone(),
                health: health.clone(),
                token: Token::new(token.expose(), &found_in),
                metrics,
                version: VERSION,
                tasks: edge.clone(),
            };
            admin::router(admin)
        } else {
            ops::router(health.clone(), metrics)
        };
        let (wanted, what) =
            if roles.admin { (config.listen.admin, "the admin API") } else { (config.listen.ops, "health and metrics") };
        let listening = TcpListener::bind(wanted).await.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (bound, listener) = listening.map_err(|error| Error::Listen { addr: wanted, what, error })?;
        *(if roles.admin { &mut addresses.admin } else { &mut addresses.ops }) = Some(bound);
        let tasks = edge.clone();
        edge.spawn(async move { listener::serve(listener, router, &tasks).await });

        let folder = RunFolder::announce(config, &addresses)?;
        tracing::info!(roles = %roles, node = %identity.node, ?addresses, "started");
        Ok(Self {
            addresses,
            health,
            journal,
            members,
            alerts,
            link,
            gateway,
            edge,
            control,
            config: folder,
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
        &self.members
    }

    /// Applies the configuration file, if there is one and this process may write.
    pub async fn apply_file(&self, config: &Config) -> Result<(), Error> {
        match &config.file {
            Some(loaded) if config.roles.admin => file::apply(&self.journal, loaded, &self.alerts).await,
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
        self.link.close().await;
        drop(self.config);
    }
}

/// Publishes each state to the data plane and announces it to whoever waits.
fn serve(published: Option<Published>, (link, names): (&Link, &Names), identity: &Identity) -> crate::journal::Serve {
    let (link, names, node) = (link.clone(), names.clone(), identity.node.clone());
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

async fn load(snapshots: &Snapshots) -> Option<Fold> {
    let snapshots = snapshots.clone();
    tokio::task::spawn_blocking(move || snapshots.load()).await.unwrap_or_else(|error| {
        tracing::error!(%error, "the snapshot could not be read");
        None
    })
}

fn secrets(resolver: SecretResolver) -> gateway::Secrets {
    let resolver = Mutex::new(resolver);
    Arc::new(move |secret| {
        let resolver = resolver.lock().unwrap_or_else(PoisonError::into_inner);
        let value = resolver.resolve(secret).map_err(|error| SecretMissing(error.to_string()))?;
        HeaderValue::from_str(value.expose())
            .map_err(|_| SecretMissing(format!("{secret} has characters that no header field can have")))
    })
}

/// How this cluster calls itself in `Via`; a node that knows of no cluster yet uses its own id.
fn via(journal: &Journal, identity: &Identity) -> String {
    let view = journal.view();
    let id = view.cluster().map_or(identity.node.as_str(), |cluster| cluster.as_str());
    format!("flexgate-{}", &id[..id.len().min(8)])
}

fn admin_token(config: &Config) -> Result<(AdminToken, String), Error> {
    match &config.admin_token {
        Some(token) => Ok((token.clone(), "FLEXGATE_ADMIN_TOKEN".to_owned())),
        None => {
            let (token, _made) = AdminToken::obtain(&config.data_dir)?;
            Ok((token, AdminToken::path(&config.data_dir).display().to_string()))
        }
    }
}

impl RunFolder {
    fn announce(config: &Config, addresses: &Addresses) -> Result<Self, Error> {
        if let Some(admin) = addresses.admin {
            let record = RunRecord { admin, proxy: addresses.proxy, pid: std::process::id() };
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


//! What a process shares with the others of its cluster: the connection, the log, the membership.

use std::time::Duration;

use crate::{
    audit::{self, Audit},
    config::Config,
    domain::Changed,
    drain::Tasks,
    gateway::{Gateway, Published},
    health::{Check, Dependency, Health},
    journal::{
        self, Fold, Journal, Options,
        alerts::{self, Alerts},
        jetstream::{JetStreamLog, Link, Names},
        snapshot::{self, Snapshots},
    },
    membership::{self, Identity, Members, Reporter, heartbeat},
    outcomes::{
        condition::Condition,
        outbox::{self, Outbox},
        shipper::Shipper,
    },
};

use super::{Endpoints, Error};

/// How long a process that ends ships what is left in its outbox; the next start ships the rest.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

/// What a process shares with the others of its cluster.
pub(super) struct Cluster {
    pub(super) link: Link,
    pub(super) names: Names,
    pub(super) alerts: Alerts,
    pub(super) audit: Audit,
    pub(super) members: Members,
}

impl Cluster {
    /// Connects, and listens to the others where that is wanted.
    pub(super) async fn join(
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
        let (audit, told) = Audit::channel(identity.node.clone());
        if config.roles.admin {
            let streams = (link.clone(), names.clone());
            control.spawn(audit::publish(audit.clone(), told, streams, control.clone()));
        }
        let members = Members::new(link.clone(), names.clone());
        // Admin waits for the others; a gateway must know how many share a limit when nobody can tell it any more.
        if config.roles.admin || config.roles.gateway {
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
            audit,
            members,
        })
    }

    /// Follows the log from the newest snapshot on, and keeps snapshots.
    pub(super) async fn follow(
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

    /// Opens the outbox of this node and ships what comes into it, and what earlier starts left there. When the tasks are
    /// stopped, nobody may write to it any more.
    pub(super) fn record(
        &self,
        config: &Config,
        identity: &Identity,
        health: &Health,
        shipping: &Tasks,
    ) -> Result<Option<Outbox>, Error> {
        let Some(recording) = config.recording else {
            health.report(Dependency::Outbox, Check::Off("recording is off".into()));
            tracing::warn!("what becomes of requests is not recorded (FLEXGATE_RECORDING=off)");
            return Ok(None);
        };
        let outbox = Outbox::open(outbox::Options {
            folder: config.data_dir.join("outbox"),
            node: identity.node.clone(),
            boot: identity.boot.clone(),
            cores: u16::try_from(config.threads.get()).unwrap_or(u16::MAX),
            bytes_max: recording.outbox_bytes,
        })?;
        let place = (self.link.clone(), &self.names);
        let health = health.clone();
        let shipper = Shipper::new(outbox.clone(), place, &identity.node, self.alerts.clone())
            .reporting(move |condition| health.report(Dependency::Outbox, check(condition)));
        let (shipped, tasks) = (outbox.clone(), shipping.clone());
        shipping.spawn(async move {
            shipper.run(tasks).await.finish(FINISH_WITHIN).await;
            let _panicked = tokio::task::spawn_blocking(move || shipped.close()).await;
        });
        Ok(Some(outbox))
    }

    /// Publishes each state to the data plane and announces it to whoever waits.
    fn serve(&self, published: Option<Published>, identity: &Identity) -> journal::Serve {
        let (link, names, node) = (self.link.clone(), self.names.clone(), identity.node.clone());
        Box::new(move |fold: &Fold, changed: &Changed| {
            let Some(published) = &published else { return };
            published.publish(&fold.state, changed, fold.generation, fold.revision);
            heartbeat::announce(&link, &names, &node, fold);
        })
    }

    /// Tells the others of the gateway of this process.
    pub(super) fn report(
        &self,
        gateway: &Gateway,
        journal: &Journal,
        identity: &Identity,
        membership: &Tasks,
    ) {
        let place = (self.link.clone(), self.names.clone(), self.alerts.clone());
        let reporter = Reporter::new(
            place,
            identity,
            gateway.local_addr().to_string(),
            gateway.request_count(),
        );
        membership.spawn(reporter.run(journal.watch(), membership.clone()));
    }
}

fn check(condition: &Condition) -> Check {
    condition
        .trouble()
        .map_or(Check::Up, |trouble| Check::Down(trouble.into()))
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

//! The role `projector`: fills the tables of a database from the streams, one task per projection.

use flexgate_projections::{AdminEvents, AlertRows, PROJECTIONS, Stream};

use self::streams::dependency;
use super::{Endpoints, cluster::Cluster};
use crate::{
    config::Config,
    drain::Tasks,
    health::{Check, Health},
    journal::Journal,
    membership::Identity,
    outcomes::feed::Feed,
};

mod closing;
mod configuration;
mod keeper;
mod messages;
mod outcomes;
mod refill;
mod service;
mod standing;
mod stops;
mod streams;

pub use configuration::keep as keep_configuration;
pub use messages::keep as keep_messages;
pub use outcomes::keep as keep_outcomes;
pub use refill::{Commits, Each, Frames, Raised, Refused};
pub use service::{Sources, serve};
pub use standing::report;

/// Starts the role, where this process has it.
pub(super) fn start(
    (config, endpoints): (&Config, &Endpoints),
    journal: &Journal,
    (cluster, identity): (&Cluster, &Identity),
    health: &Health,
    tasks: &Tasks,
) {
    let off = |reason: &str| {
        for projection in PROJECTIONS {
            health.report(dependency(projection.stream), Check::Off(reason.into()));
        }
    };
    if !config.roles.projector {
        return off("not a role of this process");
    }
    let Some(url) = endpoints.database.clone() else {
        tracing::info!("the projector is idle: no database was given (DATABASE_URL)");
        return off("no database was given");
    };
    let sources = Sources {
        url: url.clone(),
        journal: journal.clone(),
        link: cluster.link.clone(),
        names: cluster.names.clone(),
        retention: config.retention,
        node: identity.node.to_string(),
    };
    for projection in PROJECTIONS {
        let (link, names) = (cluster.link.clone(), cluster.names.clone());
        let (url, alerts) = (url.clone(), cluster.alerts.clone());
        let (shown, ends, stream) = (health.clone(), tasks.clone(), projection.stream);
        match stream {
            Stream::Config => tasks.spawn(keep_configuration(url, journal.clone(), alerts, shown, ends)),
            Stream::Admin => {
                let feed = Feed::of_admin_events(link, &names);
                tasks.spawn(keep_messages::<AdminEvents>(
                    (url, feed),
                    stream,
                    alerts,
                    shown,
                    ends,
                ));
            }
            Stream::Outcomes => {
                let database = (url, config.retention);
                tasks.spawn(keep_outcomes(database, (link, names), alerts, shown, ends));
            }
            Stream::Alerts => {
                let feed = Feed::of_alerts(link, &names);
                tasks.spawn(keep_messages::<AlertRows>(
                    (url, feed),
                    stream,
                    alerts,
                    shown,
                    ends,
                ));
            }
        }
    }
    tasks.spawn(serve(sources.clone(), tasks.clone()));
    tasks.spawn(report(sources, health.clone(), tasks.clone()));
}

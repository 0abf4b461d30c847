//! The role `projector`: fills the tables of a database from the streams, one task per projection.

use flexgate_projections::{AdminEvents, AlertRows};

use super::{Endpoints, cluster::Cluster};
use crate::{
    config::Config,
    drain::Tasks,
    health::{Check, Dependency, Health},
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
    let all = [
        Dependency::Projections,
        Dependency::Outcomes,
        Dependency::Alerts,
        Dependency::AdminEvents,
    ];
    let off = |reason: &str| {
        for dependency in all {
            health.report(dependency, Check::Off(reason.into()));
        }
    };
    if !config.roles.projector {
        return off("not a role of this process");
    }
    let Some(url) = endpoints.database.clone() else {
        tracing::info!("the projector is idle: no database was given (DATABASE_URL)");
        return off("no database was given");
    };
    let streams = || (cluster.link.clone(), cluster.names.clone());
    let alerts = || cluster.alerts.clone();
    let ends = || (health.clone(), tasks.clone());
    let (shown, end) = ends();
    tasks.spawn(keep_configuration(
        url.clone(),
        journal.clone(),
        alerts(),
        shown,
        end,
    ));
    let (shown, end) = ends();
    let (link, names) = streams();
    let stream = (url.clone(), Feed::of_alerts(link, &names));
    tasks.spawn(keep_messages::<AlertRows>(
        stream,
        Dependency::Alerts,
        alerts(),
        shown,
        end,
    ));
    let (shown, end) = ends();
    let (link, names) = streams();
    let stream = (url.clone(), Feed::of_admin_events(link, &names));
    tasks.spawn(keep_messages::<AdminEvents>(
        stream,
        Dependency::AdminEvents,
        alerts(),
        shown,
        end,
    ));
    let sources = Sources {
        url: url.clone(),
        journal: journal.clone(),
        link: cluster.link.clone(),
        names: cluster.names.clone(),
        retention: config.retention,
        node: identity.node.to_string(),
    };
    tasks.spawn(serve(sources.clone(), tasks.clone()));
    tasks.spawn(report(sources, health.clone(), tasks.clone()));
    let (shown, end) = ends();
    tasks.spawn(keep_outcomes(
        (url, config.retention),
        streams(),
        alerts(),
        shown,
        end,
    ));
}

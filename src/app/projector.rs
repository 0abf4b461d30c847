//! The role `projector`: fills the tables of a database from the streams, one task per projection.

use super::{Endpoints, cluster::Cluster};
use crate::{
    config::Config,
    drain::Tasks,
    health::{Check, Dependency, Health},
    journal::Journal,
    membership::Identity,
};

mod alerts;
mod closing;
mod configuration;
mod keeper;
mod outcomes;
mod refill;
mod service;
mod standing;
mod stops;

pub use alerts::keep as keep_alerts;
pub use configuration::keep as keep_configuration;
pub use outcomes::keep as keep_outcomes;
pub use refill::{Commits, Frames, Raised};
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
    let all = [Dependency::Projections, Dependency::Outcomes, Dependency::Alerts];
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
    tasks.spawn(keep_alerts(url.clone(), streams(), alerts(), shown, end));
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

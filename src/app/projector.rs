//! The role `projector`: fills the tables of a database from the streams, one task per projection.

use super::{Endpoints, cluster::Cluster};
use crate::{
    config::Config,
    drain::Tasks,
    health::{Check, Dependency, Health},
    journal::Journal,
};

mod closing;
mod configuration;
mod keeper;
mod outcomes;
mod refill;

pub use configuration::keep as keep_configuration;
pub use outcomes::keep as keep_outcomes;
pub use refill::{Commits, Frames};

/// Starts the role, where this process has it.
pub(super) fn start(
    (config, endpoints): (&Config, &Endpoints),
    journal: &Journal,
    cluster: &Cluster,
    health: &Health,
    tasks: &Tasks,
) {
    let both = [Dependency::Projections, Dependency::Outcomes];
    let off = |reason: &str| {
        for dependency in both {
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
    let keeping = keep_configuration(url.clone(), journal.clone(), health.clone(), tasks.clone());
    tasks.spawn(keeping);
    let streams = (cluster.link.clone(), cluster.names.clone());
    let keeping = keep_outcomes(
        (url, config.retention),
        streams,
        cluster.alerts.clone(),
        health.clone(),
        tasks.clone(),
    );
    tasks.spawn(keeping);
}

//! Where the rate limits of this process are counted.

use super::{Endpoints, Error, cluster::Cluster};
use crate::{
    config::{Budgets, Config},
    drain::Tasks,
    limiter::Limiter,
    membership::Identity,
};

/// Counts through Redis where there is one and requests come here, else by itself.
pub(super) fn limiter(
    (config, endpoints): (&Config, &Endpoints),
    identity: &Identity,
    cluster: &Cluster,
    control: &Tasks,
) -> Result<Limiter, Error> {
    let is_shared = config.roles.gateway && config.budgets == Budgets::Redis;
    let Some(url) = endpoints.redis.as_ref().filter(|_| is_shared) else {
        return Ok(Limiter::alone());
    };
    let start = format!("{}.{}", identity.node, identity.boot);
    let nodes = cluster.members.alive();
    let (limiter, lender) = Limiter::shared(url, config.streams.as_str(), &start, nodes)?;
    control.spawn(lender.run(control.clone()));
    Ok(limiter)
}

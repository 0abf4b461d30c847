//! The admin API: the way in for people and tools. It changes the gateway only by appending commits.
//!
//! A request passes [`listener::around`](crate::listener::around), then [`attempt`], which tells the audit
//! log of what is refused, and [`auth`]. A read is answered from the state
//! that this process serves ([`read`]); a write becomes one transaction ([`write`]). Each resource has a file with a
//! table of what can be done with it, from which the router and the OpenAPI document are made ([`operation`]). One
//! place turns errors into problems ([`error`]).

use std::{collections::HashSet, ops::Deref, sync::Arc};

use axum::{Router, extract::FromRef, middleware};
use flexgate_projections::Tables;
use tokio::sync::Semaphore;

use crate::{
    audit::Audit, drain::Tasks, health::Health, journal::Journal, listener::around, membership::Members,
    outcomes::feed::Feed, projectors::Projectors, sealing::SealingKeys,
};

mod alerts;
mod analytics;
mod apply;
mod attempt;
mod auth;
mod body;
mod change;
mod collection;
mod configuration;
mod convergence;
mod entity;
mod error;
mod etag;
mod events;
pub(crate) mod health;
mod idempotency;
mod json;
mod keys;
mod logs;
pub(crate) mod metrics;
mod nodes;
pub mod openapi;
pub(crate) mod operation;
mod page;
mod params;
mod past;
mod place;
mod precondition;
mod progress;
mod projections;
mod provenance;
mod read;
mod requests;
mod routes;
mod settings;
mod shapes;
mod status;
mod upstreams;
mod warning;
mod write;

pub use auth::Token;
pub use metrics::Metrics;

use operation::Resource;

/// What the admin API is made of.
#[derive(Debug)]
pub struct Admin {
    /// The log, which it reads and appends to.
    pub journal: Journal,
    /// The nodes of the cluster.
    pub members: Members,
    /// How this process is.
    pub health: Health,
    /// What seals the secrets that are made here, if this process was given keys for that.
    pub sealing: Option<Arc<SealingKeys>>,
    /// What opens it.
    pub token: Token,
    /// Where is told what was asked and not done.
    pub audit: Audit,
    /// The stream that it is told on, for whoever asks what was not done.
    pub admin_events: Option<Feed>,
    /// The tables, if there is a database.
    pub tables: Option<Tables>,
    /// Those who keep the tables, if they can be asked.
    pub projectors: Option<Projectors>,
    /// What `/metrics` answers.
    pub metrics: Metrics,
    /// The version of the program.
    pub version: &'static str,
    /// Whose end is also the end of event streams.
    pub tasks: Tasks,
}

/// What the handlers reach.
#[derive(Debug, Clone)]
struct Shared(Arc<Context>);

/// The parts, and what requests have in common.
#[derive(Debug)]
struct Context {
    admin: Admin,
    /// The paths that are served without a token.
    open: HashSet<&'static str>,
    /// The idempotency keys in use.
    keys: idempotency::InFlight,
    /// What an event stream holds while it lasts.
    streams: Arc<Semaphore>,
    /// What a request holds while it folds the log.
    folds: Semaphore,
}

/// The routes of the admin listener.
pub fn router(admin: Admin) -> Router {
    let resources = resources();
    let health = admin.health.clone();
    let shared = Shared(Arc::new(Context {
        admin,
        open: resources
            .iter()
            .filter(|resource| resource.open)
            .map(|resource| resource.path)
            .collect(),
        keys: idempotency::InFlight::default(),
        streams: Arc::new(Semaphore::new(events::STREAMS_MAX)),
        folds: Semaphore::new(past::FOLDS_MAX),
    }));
    resources
        .into_iter()
        .fold(Router::new(), |router, resource| {
            router.route(resource.path, resource.methods)
        })
        .fallback(around::no_such_path)
        .method_not_allowed_fallback(around::wrong_method)
        .layer(middleware::from_fn_with_state(shared.clone(), auth::guard))
        .layer(middleware::from_fn_with_state(shared.clone(), attempt::watch))
        .layer(middleware::from_fn_with_state(health, around::around))
        .with_state(shared)
}

/// Everything that can be done, in the order in which it is documented.
fn resources() -> Vec<Resource<Shared>> {
    let mut all = Vec::new();
    all.extend(routes::resources());
    all.extend(upstreams::resources());
    all.extend(keys::resources());
    all.extend(settings::resources());
    all.extend(configuration::resources());
    all.extend(apply::resources());
    all.extend(logs::resources());
    all.extend(analytics::resources());
    all.extend(requests::resources());
    all.extend(alerts::resources());
    all.extend(projections::resources());
    all.extend(nodes::resources());
    all.extend(status::resources());
    all.extend(events::resources());
    all.extend(health::resources());
    all.extend(metrics::resources());
    all.extend(openapi::resources());
    all
}

impl Deref for Shared {
    type Target = Context;
    fn deref(&self) -> &Context {
        &self.0
    }
}

impl Deref for Context {
    type Target = Admin;
    fn deref(&self) -> &Admin {
        &self.admin
    }
}

impl FromRef<Shared> for Health {
    fn from_ref(shared: &Shared) -> Self {
        shared.health.clone()
    }
}

impl FromRef<Shared> for Metrics {
    fn from_ref(shared: &Shared) -> Self {
        shared.metrics.clone()
    }
}

//! The ops listener: health and metrics for processes without the admin API. Nothing here takes a token, and nothing
//! here can change anything; bind it to where probes and scrapers are.

use axum::{Router, extract::FromRef, middleware};

use crate::{
    admin::{Metrics, health, metrics},
    health::Health,
    listener::around,
};

/// What the handlers reach.
#[derive(Clone)]
struct Ops {
    health: Health,
    metrics: Metrics,
}

/// The routes of the ops listener.
pub fn router(health: Health, metrics: Metrics) -> Router {
    let resources = health::resources().into_iter().chain(metrics::resources());
    resources
        .fold(Router::new(), |router, resource| {
            router.route(resource.path, resource.methods)
        })
        .fallback(around::no_such_path)
        .method_not_allowed_fallback(around::wrong_method)
        .layer(middleware::from_fn_with_state(health.clone(), around::around))
        .with_state(Ops { health, metrics })
}

impl FromRef<Ops> for Health {
    fn from_ref(ops: &Ops) -> Self {
        ops.health.clone()
    }
}

impl FromRef<Ops> for Metrics {
    fn from_ref(ops: &Ops) -> Self {
        ops.metrics.clone()
    }
}

//! `/health`: for load balancers and orchestrators, without a token, on the admin and on the ops listener.

use axum::{
    Json,
    extract::{FromRef, State},
};
use http::StatusCode;

use super::operation::{Operation, Resource};
use crate::health::{Alive, Health, Readiness, Verdict};

const TAG: &str = "Health";

/// What can be asked of a process' health.
pub(crate) fn resources<S>() -> [Resource<S>; 3]
where
    S: Clone + Send + Sync + 'static,
    Health: FromRef<S>,
{
    [
        Resource::at("/health", TAG)
            .open()
            .get(basic, Operation::new("getHealth", "Whether the process answers").answers::<Alive>(200, "It does.")),
        Resource::at("/health/live", TAG).open().get(
            live,
            Operation::new("getLiveness", "Whether the process is alive").answers::<Alive>(200, "It is."),
        ),
        Resource::at("/health/ready", TAG).open().get(
            ready,
            Operation::new("getReadiness", "Whether requests should be sent here")
                .details("It has a routing table and is not shutting down. A dead server that it uses is told, and does not count.")
                .answers::<Readiness>(200, "They should.")
                .answers::<Readiness>(503, "They should not."),
        ),
    ]
}

async fn basic(State(health): State<Health>) -> Json<Alive> {
    Json(health.alive())
}

async fn live(State(health): State<Health>) -> Json<Alive> {
    Json(Alive {
        version: None,
        ..health.alive()
    })
}

async fn ready(State(health): State<Health>) -> (StatusCode, Json<Readiness>) {
    let readiness = health.readiness();
    let status = match readiness.status {
        Verdict::Up => StatusCode::OK,
        Verdict::Down | Verdict::Off => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(readiness))
}

//! `/metrics`: what Prometheus scrapes. The admin listener asks for the token; the ops listener, which has nothing
//! else to protect and is bound to where scrapers are, does not.

use std::{fmt, sync::Arc};

use axum::{
    extract::{FromRef, State},
    response::{IntoResponse, Response},
};
use http::header::CONTENT_TYPE;

use super::operation::{Operation, Resource};

/// The version of the text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Renders the metrics of this process.
#[derive(Clone)]
pub struct Metrics(Arc<dyn Fn() -> String + Send + Sync>);

impl Metrics {
    /// Renders with this.
    pub fn new(render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(render))
    }
}

/// What can be done with the metrics.
pub(crate) fn resources<S>() -> [Resource<S>; 1]
where
    S: Clone + Send + Sync + 'static,
    Metrics: FromRef<S>,
{
    [Resource::at("/metrics", "Metrics").get(
        scrape,
        Operation::new("getMetrics", "The metrics of this process, for Prometheus").answers_as(
            200,
            "All metrics, in the Prometheus text format.",
            "text/plain",
            |_| schemars::json_schema!({ "type": "string" }),
        ),
    )]
}

async fn scrape(State(metrics): State<Metrics>) -> Response {
    ([(CONTENT_TYPE, TEXT)], (metrics.0)()).into_response()
}

impl fmt::Debug for Metrics {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Metrics")
    }
}

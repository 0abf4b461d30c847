//! `/api/nodes`: who serves, and which revision.

use axum::{Json, extract::State};
use flexgate_schemas::{NodeId, node::Heartbeat};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Shared,
    error::Error,
    operation::{Operation, Resource},
    params::{Id, Nothing, Query},
};
use crate::membership::Member;

const TAG: &str = "Nodes";

/// What can be done with nodes.
pub(super) fn resources() -> [Resource<Shared>; 2] {
    [
        Resource::at("/api/nodes", TAG).get(
            list,
            Operation::new("listNodes", "All members, by id")
                .answers::<Vec<NodeReport>>(200, "The members, each as it last said of itself."),
        ),
        Resource::at("/api/nodes/{id}", TAG).delete(
            forget,
            Operation::new("forgetNode", "Take a lost node out of the membership")
                .details("A node that is alive is refused: it would be back with its next report. Not a commit, so a repetition is answered afresh.")
                .answers_empty(204, "It is no member any more."),
        ),
    ]
}

/// A member, as it last said of itself.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Node")]
struct NodeReport {
    #[serde(flatten)]
    heartbeat: Heartbeat,
    /// For how long it has not been heard, in milliseconds.
    silent_ms: u64,
    /// Whether that is too long.
    lost: bool,
}

async fn list(State(admin): State<Shared>, Query(Nothing {}): Query<Nothing>) -> Json<Vec<NodeReport>> {
    Json(admin.members.list().into_iter().map(NodeReport::of).collect())
}

async fn forget(
    State(admin): State<Shared>,
    Id(node): Id<NodeId>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<StatusCode, Error> {
    if admin.members.forget(&node).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Error::NoNode(node))
    }
}

impl NodeReport {
    fn of(member: Member) -> Self {
        let Member {
            mut heartbeat,
            revision,
            silent_ms,
            lost,
        } = member;
        // What it announced since is newer than its report.
        heartbeat.position.revision = revision;
        Self {
            heartbeat,
            silent_ms,
            lost,
        }
    }
}

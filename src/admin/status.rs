//! `/api/status`: this process and its cluster at a glance; what `flexgate status` shows.

use axum::{Json, extract::State};
use flexgate_schemas::{Chain, ClusterId, node::NodeStatus};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Shared,
    operation::{Operation, Resource},
    read::Read,
};
use crate::{
    health::{Checks, JournalReport, Readiness, Reasons},
    membership::Member,
};

/// The one thing that can be done with the status.
pub(super) fn resources() -> [Resource<Shared>; 1] {
    [Resource::at("/api/status", "Status").get(
        fetch,
        Operation::new("getStatus", "This process and its cluster at a glance")
            .headers(&["FlexGate-Min-Revision"])
            .answers::<Status>(200, "How everything is."),
    )]
}

/// A process and its cluster at a glance.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Status {
    /// The version of this process.
    version: &'static str,
    /// Whose configuration this is; absent before the first commit was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<ClusterId>,
    /// Where this process is in the log, and whether it follows.
    journal: JournalReport,
    /// The chain up to the revision.
    chain: Chain,
    /// The hash of the configuration, labelled with the fold version: `1:<hex>`.
    state_hash: String,
    /// How many routes there are.
    routes: usize,
    /// How many upstreams there are.
    upstreams: usize,
    /// How many members there are, by how they are.
    nodes: NodeCounts,
    /// The servers this process uses.
    checks: Checks,
    /// Why a check is not `UP`.
    #[serde(default, skip_serializing_if = "Reasons::is_empty")]
    reasons: Reasons,
}

/// How many members there are, by how they are. Each is counted once.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct NodeCounts {
    /// They follow the log.
    serving: usize,
    /// They serve their last good revision and go no further.
    frozen: usize,
    /// They are shutting down.
    draining: usize,
    /// They have not been heard for too long.
    lost: usize,
}

async fn fetch(State(admin): State<Shared>, read: Read) -> Json<Status> {
    let (view, state) = (&read.view, read.view.state());
    let Readiness { checks, reasons, .. } = admin.health.readiness();
    Json(Status {
        version: admin.version,
        cluster: view.cluster().cloned(),
        journal: JournalReport::of(view),
        chain: view.chain(),
        state_hash: state.hash().to_string(),
        routes: state.routes().len(),
        upstreams: state.upstreams().len(),
        nodes: NodeCounts::of(&admin.members.list()),
        checks,
        reasons,
    })
}

impl NodeCounts {
    fn of(members: &[Member]) -> Self {
        let mut counts = Self::default();
        for member in members {
            let count = match &member.heartbeat.status {
                _ if member.lost => &mut counts.lost,
                NodeStatus::Serving => &mut counts.serving,
                NodeStatus::Frozen { .. } => &mut counts.frozen,
                NodeStatus::Draining => &mut counts.draining,
            };
            *count += 1;
        }
        counts
    }
}

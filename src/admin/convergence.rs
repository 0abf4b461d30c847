//! What `?wait=nodes` answers: which members serve a change, and who is missing.

use flexgate_schemas::NodeId;
use schemars::JsonSchema;
use serde::Serialize;

use crate::membership::{Confirmation, Convergence};

/// How far a change has come.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Convergence")]
pub(super) struct ConvergenceReport {
    /// Whether every member serves it.
    pub(super) converged: bool,
    /// Each member.
    nodes: Vec<NodeReport>,
    /// Those that do not serve it yet.
    missing: Vec<NodeId>,
}

/// How far a change has come at one member.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "NodeConvergence")]
struct NodeReport {
    /// Which.
    node: NodeId,
    /// The last revision that it is known to serve.
    revision: u64,
    /// After how many milliseconds it was known to serve the change; absent if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    took_ms: Option<f64>,
    /// Whether nothing has been heard of it for too long.
    lost: bool,
}

impl From<Convergence> for ConvergenceReport {
    fn from(convergence: Convergence) -> Self {
        let missing = convergence.nodes.iter().filter(|node| node.took_us.is_none());
        Self {
            converged: convergence.converged,
            missing: missing.map(|node| node.node.clone()).collect(),
            nodes: convergence.nodes.into_iter().map(NodeReport::of).collect(),
        }
    }
}

impl NodeReport {
    fn of(confirmation: Confirmation) -> Self {
        Self {
            node: confirmation.node,
            revision: confirmation.revision,
            took_ms: confirmation.took_us.map(millis),
            lost: confirmation.lost,
        }
    }
}

/// Microseconds as milliseconds; a wait of a minute is exact in an `f64`.
#[expect(
    clippy::cast_precision_loss,
    reason = "a wait has far less than 2^53 microseconds"
)]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

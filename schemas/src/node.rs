//! What a node says of itself: the value of its key in the NODES bucket, and its announcements.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BootId, Chain, NodeId, Timestamp};

/// A node's own report, renewed every two seconds and at every change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// Who.
    pub node: NodeId,
    /// Which start of it.
    pub boot: BootId,
    /// The program's version.
    pub version: String,
    /// The highest schema level it reads.
    pub reader_level: u32,
    /// Where it is in the log.
    #[serde(flatten)]
    pub position: Position,
    /// Whether it follows the log.
    #[serde(flatten)]
    pub status: NodeStatus,
    /// When this start began.
    pub started_at: Timestamp,
    /// When this was written, by the node's clock.
    pub at: Timestamp,
    /// The address of its data plane, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Requests in the last second.
    #[serde(default)]
    pub requests_per_second: u64,
}

/// A place in the log, and what the state there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// The history.
    pub generation: u64,
    /// The last commit that is served.
    pub revision: u64,
    /// The chain up to it.
    pub chain: Chain,
    /// The hash of the configuration, labelled with the fold version: `1:<hex>`.
    pub state_hash: String,
}

/// Whether a node follows the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "camelCase")]
pub enum NodeStatus {
    /// It does.
    Serving,
    /// It serves the last good revision and goes no further.
    Frozen {
        /// Why.
        reason: String,
    },
    /// It is shutting down.
    Draining,
}

/// A core NATS message on `<prefix>.serving.<node>`: from now on this node serves this revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Serving {
    /// Who.
    pub node: NodeId,
    /// The history.
    pub generation: u64,
    /// The revision that the data plane now routes by.
    pub revision: u64,
}

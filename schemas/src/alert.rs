//! Alerts: what a person or a webhook should hear of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{NodeId, Timestamp, envelope::Envelope};

/// The kinds of alert that exist, with what each is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data", rename_all_fields = "camelCase")]
pub enum AlertKind {
    /// A node stopped following the log and serves the last good state.
    #[serde(rename = "journal.frozen")]
    JournalFrozen {
        /// The last revision it serves.
        revision: u64,
        /// Why it goes no further.
        reason: String,
    },
    /// A configuration file was refused and changed nothing.
    #[serde(rename = "config.rejected")]
    ConfigRejected {
        /// Which file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A member has not been heard of.
    #[serde(rename = "node.lost")]
    NodeLost {
        /// Which one.
        node: NodeId,
        /// For how long, in milliseconds.
        silent_ms: u64,
    },
    /// Outcomes could not be kept until the stream had them: the oldest were lost.
    #[serde(rename = "outbox.overflowed")]
    OutboxOverflowed {
        /// How many were lost since the node's start.
        lost: u64,
        /// The most bytes that the outbox may take.
        bytes_max: u64,
    },
    /// A projector has read less than half of what its stream keeps: it loses events unless it gets faster.
    #[serde(rename = "projection.behind")]
    ProjectionBehind {
        /// Which projection.
        projection: String,
        /// How many messages it has yet to read.
        messages: u64,
        /// How much of the stream's age or bytes they are, in percent.
        percent: u32,
    },
    /// Messages could not be applied and are kept as dead letters.
    #[serde(rename = "projection.dead_letter")]
    DeadLetter {
        /// Which projection.
        projection: String,
        /// The sequence of the last of them.
        sequence: u64,
        /// How many there were at once.
        messages: u64,
    },
    /// The clock of a node is not that of the server.
    #[serde(rename = "node.clock")]
    NodeClock {
        /// Which node.
        node: NodeId,
        /// How far it is ahead, in milliseconds; below 0 if it is behind.
        ahead_ms: i64,
    },
}

/// One message on ALERTS. Standard Webhooks sends the same body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// Unique; repetitions of one occurrence carry the same.
    pub id: String,
    /// The node that raised it.
    pub node: NodeId,
    /// When.
    pub timestamp: Timestamp,
    /// What.
    #[serde(flatten)]
    pub kind: AlertKind,
}

impl AlertKind {
    /// The type, which is also the tail of the subject `flexgate.alert.<type>`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::JournalFrozen { .. } => "journal.frozen",
            Self::ConfigRejected { .. } => "config.rejected",
            Self::NodeLost { .. } => "node.lost",
            Self::OutboxOverflowed { .. } => "outbox.overflowed",
            Self::ProjectionBehind { .. } => "projection.behind",
            Self::DeadLetter { .. } => "projection.dead_letter",
            Self::NodeClock { .. } => "node.clock",
        }
    }
}

impl Alert {
    /// Its CloudEvents attributes.
    pub fn envelope(&self) -> Envelope {
        Envelope {
            id: self.id.clone(),
            type_name: format!("io.flexgate.alert.{}.v1", self.kind.type_name()),
            source: format!("/nodes/{}", self.node),
            time: self.timestamp,
            subject: None,
            auth: None,
            provenance: None,
        }
    }
}

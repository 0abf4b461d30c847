//! Alerts: what a person or a webhook should hear of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BootId, NodeId, Timestamp, envelope::Envelope};

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
    /// A node that had stopped follows the log again.
    #[serde(rename = "journal.thawed")]
    JournalThawed {
        /// The revision that it serves.
        revision: u64,
    },
    /// A configuration file was refused and changed nothing.
    #[serde(rename = "config.rejected")]
    ConfigRejected {
        /// Which file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A node has started, and belongs to the cluster from now on.
    #[serde(rename = "node.joined")]
    NodeJoined {
        /// Which one.
        node: NodeId,
        /// Which start of it.
        boot: BootId,
        /// The program's version.
        version: String,
        /// The highest schema level it reads.
        reader_level: u32,
        /// The revision that it serves to begin with.
        revision: u64,
    },
    /// A node was told to end, and belongs to the cluster no more.
    #[serde(rename = "node.left")]
    NodeLeft {
        /// Which one.
        node: NodeId,
        /// Which start of it has ended.
        boot: BootId,
        /// The last revision that it served.
        revision: u64,
    },
    /// A member has not been heard of.
    #[serde(rename = "node.lost")]
    NodeLost {
        /// Which one.
        node: NodeId,
        /// For how long, in milliseconds.
        silent_ms: u64,
    },
    /// A member that was lost is heard of again.
    #[serde(rename = "node.back")]
    NodeBack {
        /// Which one.
        node: NodeId,
        /// Which start of it.
        boot: BootId,
    },
    /// A lost member was taken out of the membership.
    #[serde(rename = "node.forgotten")]
    NodeForgotten {
        /// Which one.
        node: NodeId,
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
    /// A projection does not go on: somebody has to do something, since time alone will not help.
    #[serde(rename = "projection.stopped")]
    ProjectionStopped {
        /// Which projection.
        projection: String,
        /// The sequence of the last event that it has applied; absent if the tables do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        position: Option<u64>,
        /// Why.
        error: String,
    },
    /// A projection that had stopped goes on.
    #[serde(rename = "projection.resumed")]
    ProjectionResumed {
        /// Which projection.
        projection: String,
        /// The sequence of the last event that it has applied; absent if the tables do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        position: Option<u64>,
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

/// How much an alert matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look at it by and by.
    Warning,
    /// Something is lost or stands still until somebody looks at it.
    Critical,
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
            Self::JournalThawed { .. } => "journal.thawed",
            Self::ConfigRejected { .. } => "config.rejected",
            Self::NodeJoined { .. } => "node.joined",
            Self::NodeLeft { .. } => "node.left",
            Self::NodeLost { .. } => "node.lost",
            Self::NodeBack { .. } => "node.back",
            Self::NodeForgotten { .. } => "node.forgotten",
            Self::OutboxOverflowed { .. } => "outbox.overflowed",
            Self::ProjectionBehind { .. } => "projection.behind",
            Self::ProjectionStopped { .. } => "projection.stopped",
            Self::ProjectionResumed { .. } => "projection.resumed",
            Self::DeadLetter { .. } => "projection.dead_letter",
            Self::NodeClock { .. } => "node.clock",
        }
    }

    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            Self::JournalThawed { .. }
            | Self::NodeJoined { .. }
            | Self::NodeLeft { .. }
            | Self::NodeBack { .. }
            | Self::NodeForgotten { .. }
            | Self::ProjectionResumed { .. } => Severity::Info,
            Self::ConfigRejected { .. }
            | Self::NodeLost { .. }
            | Self::ProjectionBehind { .. }
            | Self::DeadLetter { .. }
            | Self::NodeClock { .. } => Severity::Warning,
            Self::JournalFrozen { .. } | Self::OutboxOverflowed { .. } | Self::ProjectionStopped { .. } => {
                Severity::Critical
            }
        }
    }

    /// What it is about, if that is not the node that raised it: another node, a file, a projection.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::ConfigRejected { file, .. } => Some(file),
            Self::NodeJoined { node, .. }
            | Self::NodeLeft { node, .. }
            | Self::NodeLost { node, .. }
            | Self::NodeBack { node, .. }
            | Self::NodeForgotten { node }
            | Self::NodeClock { node, .. } => Some(node.as_str()),
            Self::ProjectionBehind { projection, .. }
            | Self::ProjectionStopped { projection, .. }
            | Self::ProjectionResumed { projection, .. }
            | Self::DeadLetter { projection, .. } => Some(projection),
            Self::JournalFrozen { .. } | Self::JournalThawed { .. } | Self::OutboxOverflowed { .. } => None,
        }
    }
}

impl Severity {
    /// As the tables write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
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

//! What stands at the beginning of a file of the outbox, and why a file cannot be read.

use std::io;

use flexgate_schemas::{BootId, IdKey, NodeId, frame::Source};
use serde::{Deserialize, Serialize};

/// The version of everything that this file says. Another one is another process' to read.
pub(super) const FORMAT: u32 = 2;

/// Whose outcomes a segment has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outcomes) struct Header {
    /// The node.
    pub(in crate::outcomes) node: NodeId,
    /// Which start of it.
    pub(in crate::outcomes) boot: BootId,
    /// Which core of it.
    pub(in crate::outcomes) core: u16,
    /// Which file of that core, from 0.
    pub(in crate::outcomes) number: u64,
    /// What its ids are made with.
    pub(in crate::outcomes) id_key: IdKey,
    /// When the file was made, in microseconds since 1970.
    pub(in crate::outcomes) made_at: i64,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// The system does not let us.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It was never finished: whoever made it was killed, or the power failed.
    #[error("it was never finished")]
    Unfinished,
    /// It is written in another way.
    #[error("it has format {0}, this version reads {FORMAT}")]
    Format(u32),
    /// It says nothing that makes sense.
    #[error("its header cannot be read: {0}")]
    Header(String),
}

impl Header {
    /// Whose outcomes these are.
    pub(in crate::outcomes) fn source(&self) -> Source {
        Source {
            node: self.node.clone(),
            boot: self.boot.clone(),
            core: self.core,
        }
    }
}

//! Frames: messages on OUTCOMES, each a run of one core's outcomes, in columns, as JSON under zstd.
//!
//! Columns instead of rows, since most say the same a thousand times over: 20 bytes an outcome instead of 50, and half the
//! work. Text instead of binary, so that `nats stream get ... | zstd -d | jq` shows what is in there.

mod body;
mod column;
mod draft;
mod read;
mod write;

use std::{fmt, ops::Range};

use crate::{BootId, IdKey, NodeId};

pub use body::Body;
pub use column::{Column, Text};
pub use draft::Draft;
pub use read::{Frame, FrameError, Opened};
pub use write::Writer;

/// `ce-type` of a frame.
pub const TYPE: &str = "io.flexgate.outcomes.v1";
/// The header that says when a node sent a message, by its own clock; another one each time that it is sent.
pub const SENT: &str = "Flexgate-Sent";
/// The most bytes of payload that a writer puts into one message, unless a single outcome is longer.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 10;
/// The most bytes that a reader unpacks from one: forty times what the longest honest one needs.
pub const TEXT_BYTES_MAX: usize = 64 << 20;
/// The most outcomes in one frame.
pub const OUTCOMES_MAX: usize = 4096;

/// Whose outcomes are counted together: one core of one start of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The node.
    pub node: NodeId,
    /// Which start of it.
    pub boot: BootId,
    /// Which core of it.
    pub core: u16,
}

/// A message with its headers, as it is published and as it lies in the stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sealed {
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub payload: Vec<u8>,
}

/// A message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Where it lies.
    pub sequence: u64,
    /// When the server stored it.
    pub stored_at: crate::Timestamp,
    /// What it is.
    pub message: Sealed,
}

impl Sealed {
    /// The value of a header, if it is there. Names are compared as they are: NATS keeps their case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(held, _)| held == name);
        found.map(|(_, value)| &**value)
    }
}

/// A run of outcomes of one source, and what their ids are made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Whose they are.
    pub source: Source,
    /// What their ids are permuted with.
    pub id_key: IdKey,
    /// The counter of the first.
    pub first: u64,
    /// How many, with those that are left out.
    pub count: u32,
}

impl Run {
    /// The counters that it covers.
    pub fn counters(&self) -> Range<u64> {
        self.first..self.first + u64::from(self.count)
    }
}

/// The id of a frame, by which a server recognises a repetition. The count is in it: a longer frame that begins alike is
/// another one.
impl fmt::Display for Run {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Source { node, boot, core } = &self.source;
        write!(out, "{node}-{boot}-{core}-{}-{}", self.first, self.count)
    }
}

#[cfg(test)]
mod tests;

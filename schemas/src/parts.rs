//! Parts: how the events of a change set that is too large for one message lie in the log.
//!
//! A part is a message of its own, `{"events":[...]}`, and means nothing by itself. The commit, which comes after all of its
//! parts, names each by its place in the log and its hash: what it names happened, in that order, and nothing else did. So a
//! part that is there twice, belongs to somebody else or whose writer died is never applied.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    Event,
    chain::{hex, sha256},
    event,
    upcast::{self, EventError},
};

/// The length of a part that has more than one event, in bytes. Half of what a NATS server takes by default, so that headers
/// and an operator's lower limit have room.
pub const PART_BYTES: usize = 512 * 1024;
/// The most parts of one change set: 128 MiB, which are half a million routes.
pub const PARTS_MAX: usize = 256;
/// The first token of a part's subject, `part.<commit>.<number>`.
pub const SUBJECT: &str = "part";
/// The CloudEvents type of a part.
pub const TYPE: &str = "io.flexgate.changeset.part.v1";

/// The payload of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The stored bytes.
    pub payload: Vec<u8>,
    /// How many events they are.
    pub events: usize,
}

/// How a commit names one of its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PartRef {
    /// Its place in the log, which is before that of the commit.
    pub sequence: u64,
    /// The SHA-256 of its payload, in hex.
    pub sha256: Box<str>,
    /// How many events it has.
    pub events: usize,
}

/// Why a part is not what its commit says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// Nothing, or something that is no part, lies in its place.
    #[error("part {number} is not at sequence {sequence}")]
    Missing {
        /// Which of them; the first is 0.
        number: usize,
        /// Where it should be.
        sequence: u64,
    },
    /// Another one lies in its place.
    #[error("part {number} at sequence {sequence} is not the one that the commit names")]
    Other {
        /// Which of them; the first is 0.
        number: usize,
        /// Where it lies.
        sequence: u64,
    },
    /// It is no list of events, or not of so many.
    #[error("part {number} at sequence {sequence} cannot be read: {problem}")]
    Syntax {
        /// Which of them; the first is 0.
        number: usize,
        /// Where it lies.
        sequence: u64,
        /// What is wrong.
        problem: String,
    },
    /// One of its events cannot be read.
    #[error(transparent)]
    Event(#[from] EventError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPart<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// The schema of a part's payload.
pub fn schema(_: &mut SchemaGenerator) -> Schema {
    let types: Vec<_> = event::TYPES.iter().map(|(name, _)| *name).collect();
    json_schema!({
        "type": "object",
        "additionalProperties": false,
        "required": ["events"],
        "properties": {
            "events": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "description": "An event, as the schema of its type says.",
                    "required": ["type", "data"],
                    "properties": { "type": { "enum": types }, "data": { "type": "object" } }
                }
            }
        }
    })
}

/// Cuts events into parts of so many bytes; `None` where they fit in the commit itself. An event is never cut: one that is
/// longer has a part of its own.
pub fn cut(events: &[Event], part_bytes: usize) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut part = Part::empty();
    for event in events {
        let written = serde_json::to_vec(event).expect("an event has string keys and finite numbers only");
        if part.events > 0 && part.payload.len() + written.len() + 2 > part_bytes {
            parts.push(std::mem::replace(&mut part, Part::empty()).closed());
        }
        part.add(&written);
    }
    if parts.is_empty() {
        return None;
    }
    parts.push(part.closed());
    Some(parts)
}

impl Part {
    fn empty() -> Self {
        Self {
            payload: br#"{"events":["#.to_vec(),
            events: 0,
        }
    }

    fn add(&mut self, event: &[u8]) {
        if self.events > 0 {
            self.payload.push(b',');
        }
        self.payload.extend_from_slice(event);
        self.events += 1;
    }

    fn closed(mut self) -> Self {
        self.payload.extend_from_slice(b"]}");
        self
    }

    /// As a commit names it, when it lies there.
    pub fn at(&self, sequence: u64) -> PartRef {
        PartRef {
            sequence,
            sha256: hex(&sha256(&self.payload)).into(),
            events: self.events,
        }
    }
}

impl PartRef {
    /// The events of the part in its place, if it is the right one.
    pub(crate) fn read(&self, number: usize, payload: Option<&[u8]>) -> Result<Vec<Event>, PartError> {
        let sequence = self.sequence;
        let payload = payload.ok_or(PartError::Missing { number, sequence })?;
        if *hex(&sha256(payload)) != *self.sha256 {
            return Err(PartError::Other { number, sequence });
        }
        let syntax = |problem: String| PartError::Syntax {
            number,
            sequence,
            problem,
        };
        let raw: RawPart<'_> = serde_json::from_slice(payload).map_err(|error| syntax(error.to_string()))?;
        if raw.events.len() != self.events {
            return Err(syntax(format!("it has {} events", raw.events.len())));
        }
        let events = raw.events.into_iter().map(upcast::read);
        Ok(events.collect::<Result<_, _>>()?)
    }
}

//! A message of the log, and what it takes to read it.

use bytes::Bytes;
use flexgate_schemas::{Commit, parts};

use super::store::{Record, Store, StoreError};

/// A message, with the parts that it names if it is the commit of a large change set. A commit means the same to every
/// reader, whenever that one began to read: parts are looked up where the commit says, not remembered as they pass by.
#[derive(Debug, Clone)]
pub struct Whole {
    /// The message.
    pub record: Record,
    /// The payloads of its parts, in order; `None` for one that is not there.
    pub parts: Vec<Option<Bytes>>,
}

impl Whole {
    /// A message that names no parts, or whose parts are not needed.
    pub fn alone(record: Record) -> Self {
        Self {
            record,
            parts: Vec::new(),
        }
    }

    /// Reads the parts that a message names, if it names any.
    pub(super) async fn of<S: Store>(store: &S, record: Record) -> Result<Self, StoreError> {
        if is_part(&record) {
            return Ok(Self::alone(record));
        }
        let mut whole = Self::alone(record);
        for named in Commit::parts_of(&whole.record.payload)
            .into_iter()
            .take(parts::PARTS_MAX)
        {
            let before = named.sequence < whole.record.sequence;
            let found = if before {
                store.read(named.sequence).await?
            } else {
                None
            };
            let payload = found.filter(is_part).map(|part| part.payload);
            whole.parts.push(payload);
        }
        Ok(whole)
    }

    /// Whether it is so much that it should not be read beside anything else.
    pub(super) fn is_large(&self) -> bool {
        !self.parts.is_empty()
    }
}

/// Whether a message is a part, which means nothing by itself.
pub(super) fn is_part(record: &Record) -> bool {
    let token = record.subject.split('.').next();
    token == Some(parts::SUBJECT)
}

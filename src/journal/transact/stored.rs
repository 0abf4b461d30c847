//! The parts that a transaction has written so far.

use std::collections::HashMap;

use chrono::Utc;
use flexgate_schemas::{
    Commit,
    envelope::Envelope,
    parts::{self, Part, PartRef},
};

use crate::journal::store::Outgoing;

/// What lies in the log already, by its hash: to decide again, because somebody else was first, nearly always comes to the
/// same events, which need not be written again.
#[derive(Debug, Default)]
pub(super) struct Stored {
    generation: u64,
    parts: HashMap<Box<str>, PartRef>,
    last: u64,
}

impl Stored {
    /// Forgets what lies in another history.
    pub(super) fn begin(&mut self, generation: u64) {
        if self.generation != generation {
            *self = Self {
                generation,
                ..Self::default()
            };
        }
    }

    pub(super) fn find(&self, part: &Part) -> Option<PartRef> {
        self.parts.get(&part.at(0).sha256).cloned()
    }

    pub(super) fn add(&mut self, part: &Part, sequence: u64) -> PartRef {
        let at = part.at(sequence);
        self.parts.insert(at.sha256.clone(), at.clone());
        self.last = self.last.max(sequence);
        at
    }

    /// The place of the last of them; 0 while there is none.
    pub(super) fn last(&self) -> u64 {
        self.last
    }
}

/// A part as a message. Its id follows from its content, so that another part never counts as a repetition of it.
pub(super) fn outgoing(commit: &Commit, number: usize, part: &Part) -> Outgoing {
    let subject = format!("{}.{}.{number}", parts::SUBJECT, commit.id);
    let hash = part.at(0).sha256;
    let id = format!("{}.{number}.{}", commit.id, &hash[..16]);
    let envelope = Envelope {
        id: id.clone(),
        type_name: parts::TYPE.to_owned(),
        time: Utc::now().into(),
        subject: Some(subject.replace('.', "/")),
        ..Envelope::of_commit(commit)
    };
    Outgoing {
        subject,
        id,
        headers: envelope.headers(),
        payload: part.payload.clone().into(),
    }
}

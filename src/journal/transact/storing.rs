//! Writing the parts of a large change set: before the commit that names them, and each only once.

use std::{collections::HashMap, sync::Arc};

use chrono::Utc;
use flexgate_schemas::{
    Commit,
    envelope::Envelope,
    parts::{self, PART_BYTES, PARTS_MAX, Part, PartRef},
};
use tokio::time::{Instant, sleep};

use super::{APPEND_DEADLINE, APPEND_PAUSE, Decider, reason_to_repeat};
use crate::journal::{
    Progress, TransactError, View,
    store::{AppendError, Outgoing, Store},
};

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
    fn begin(&mut self, generation: u64) {
        if self.generation != generation {
            *self = Self {
                generation,
                ..Self::default()
            };
        }
    }

    fn find(&self, part: &Part) -> Option<PartRef> {
        self.parts.get(&part.at(0).sha256).cloned()
    }

    fn add(&mut self, part: &Part, sequence: u64) -> PartRef {
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

impl<S: Store> Decider<S> {
    /// Writes the parts of a commit that are not in the log yet. They mean nothing there until the commit names them, so
    /// that it does not matter who writes what in between.
    pub(super) async fn store(
        &self,
        commit: &Commit,
        parts: &[Part],
        stored: &mut Stored,
        tell: impl Fn(Progress) -> Option<Progress>,
    ) -> Result<Arc<[PartRef]>, TransactError> {
        if parts.len() > PARTS_MAX {
            let bytes = parts.iter().map(|part| part.payload.len()).sum();
            let limit = PARTS_MAX * PART_BYTES;
            return Err(TransactError::TooLarge { bytes, limit });
        }
        stored.begin(commit.generation);
        let mut expected_last = self.view.borrow().fold.last_sequence.max(stored.last());
        let mut named = Vec::with_capacity(parts.len());
        for (number, part) in parts.iter().enumerate() {
            tell(Progress::Storing {
                done: number,
                of: parts.len(),
            });
            let at = if let Some(at) = stored.find(part) {
                at
            } else {
                let message = outgoing(commit, number, part);
                let sequence = self.store_part(&message, &mut expected_last).await?;
                stored.add(part, sequence)
            };
            named.push(at);
        }
        Ok(named.into())
    }

    /// Writes one part, wherever the log ends by now.
    async fn store_part(&self, message: &Outgoing, expected_last: &mut u64) -> Result<u64, TransactError> {
        let deadline = Instant::now() + APPEND_DEADLINE;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let conflict = match self.store.append(message, *expected_last).await {
                Ok(sequence) => {
                    *expected_last = sequence.max(*expected_last);
                    return Ok(sequence);
                }
                Err(AppendError::Conflict) => {
                    *expected_last = self.beyond(*expected_last).await;
                    TransactError::Contended { attempts }
                }
                Err(error) => {
                    let reason = reason_to_repeat(error)?;
                    sleep(APPEND_PAUSE).await;
                    TransactError::Unavailable { reason }
                }
            };
            if Instant::now() >= deadline {
                return Err(conflict);
            }
        }
    }

    /// The log's last sequence, if up to it and with our parts there is no commit that a decision did not know.
    pub(super) async fn undisturbed(&self, decided_on: &View, last_part: u64) -> Option<u64> {
        self.beyond(last_part.saturating_sub(1)).await;
        let view = self.view.borrow();
        (view.moment() == decided_on.moment()).then_some(view.fold.last_sequence)
    }
}

/// A part as a message. Its id follows from its content, so that another part never counts as a repetition of it.
fn outgoing(commit: &Commit, number: usize, part: &Part) -> Outgoing {
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

//! Requests that are sent again: they are answered as the first time.

use std::sync::Arc;

use flexgate_schemas::{Commit, Event};

use super::Decider;
use crate::journal::{
    Committed, TransactError, Transaction, View,
    store::{Store, StoreError},
    whole::Whole,
};

impl<S: Store> Decider<S> {
    /// The answer to a repeated request, if this is one.
    pub(super) async fn repetition(
        &self,
        view: &View,
        transaction: &Transaction,
    ) -> Result<Option<Committed>, TransactError> {
        let Some(asked) = &transaction.idempotency else {
            return Ok(None);
        };
        let Some(kept) = view.fold.remembered.by_key(&asked.key) else {
            return Ok(None);
        };
        let events = match &kept.idempotency {
            Some((used, events)) if used.request_hash == asked.request_hash => events.clone(),
            _ => return Err(TransactError::KeyReused),
        };
        let events = if kept.in_parts {
            self.events_of(kept.revision).await?
        } else {
            events
        };
        Ok(Some(Committed {
            generation: view.generation(),
            revision: kept.revision,
            commit: Some(kept.commit.clone()),
            at: kept.at,
            events,
            warnings: Vec::new(),
            replayed: true,
        }))
    }

    /// What a commit says that is in the log.
    async fn events_of(&self, revision: u64) -> Result<Arc<[Event]>, TransactError> {
        let unavailable = |reason: String| TransactError::Unavailable { reason };
        let reading = async {
            let record = self.store.read(revision).await?;
            Ok(match record {
                None => None,
                Some(record) => Some(Whole::of(&self.store, record).await?),
            })
        };
        let found: Result<_, StoreError> = reading.await;
        let message = found.map_err(|error| unavailable(error.to_string()))?;
        let message = message.ok_or_else(|| unavailable(format!("revision {revision} is not there")))?;
        let commit = Commit::from_payloads(&message.record.payload, &message.parts);
        Ok(commit.map_err(|error| unavailable(error.to_string()))?.events)
    }
}

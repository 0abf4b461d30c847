//! The subscription to CONFIG: a reader that insists on every message.

use super::{
    Content, JetStreamLog, Reader,
    reader::{Stored, broken},
};
use crate::journal::store::{Record, StoreError, Subscription};

/// A reader at a place in CONFIG.
pub struct JetStreamSubscription {
    log: JetStreamLog,
    reader: Reader,
    /// The last sequence handed out.
    last: u64,
}

impl JetStreamSubscription {
    pub(super) async fn open(log: &JetStreamLog, after: u64) -> Result<Self, StoreError> {
        Ok(Self {
            reader: Reader::open(&log.link, &log.stream, after, Content::Whole).await?,
            log: log.clone(),
            last: after,
        })
    }

    fn take(&mut self, stored: Stored) -> Result<Record, StoreError> {
        let Stored {
            sequence,
            stored_at,
            message,
        } = stored;
        if sequence != self.last + 1 {
            return Err(broken(&format_args!(
                "sequence {sequence} came after {}",
                self.last
            )));
        }
        self.last = sequence;
        Ok(self
            .log
            .record(sequence, &message.subject, message.payload, stored_at))
    }
}

impl Subscription for JetStreamSubscription {
    async fn next(&mut self) -> Result<Record, StoreError> {
        let stored = self.reader.next().await?;
        self.take(stored)
    }

    fn ready(&mut self) -> Option<Result<Record, StoreError>> {
        let stored = self.reader.ready()?;
        Some(stored.and_then(|stored| self.take(stored)))
    }
}

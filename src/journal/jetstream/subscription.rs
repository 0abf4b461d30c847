//! Our own reader of a stream: an ephemeral pull consumer that is thrown away at the first doubt.
//!
//! The client's ordered consumers restart from sequence 1 when they are reset before their first message, and notice a
//! dead server only after a minute; here any error, gap or missed heartbeat ends the subscription, and the follower
//! verifies the history before it opens a new one.

use std::time::Duration;

use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull},
    message::Message,
};
use futures_util::{FutureExt as _, StreamExt as _};

use super::JetStreamLog;
use crate::journal::store::{Record, Store as _, StoreError, Subscription};

/// How often an idle server must show that it is there; the client reports the second miss.
const HEARTBEAT: Duration = Duration::from_secs(3);
/// How many messages are asked for at once.
const BATCH: usize = 256;
/// How long one pull request lasts before it is renewed.
const EXPIRES: Duration = Duration::from_secs(30);
/// When the server forgets a consumer that nobody reads.
const INACTIVE: Duration = Duration::from_mins(1);

/// A reader at a place in CONFIG.
pub struct JetStreamSubscription {
    log: JetStreamLog,
    messages: pull::Stream,
    /// The last sequence handed out.
    last: u64,
}

impl JetStreamSubscription {
    pub(super) async fn open(log: &JetStreamLog, after: u64) -> Result<Self, StoreError> {
        let failed = |error: &dyn std::fmt::Display| StoreError::Failed(error.to_string());
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: after + 1,
            },
            ack_policy: AckPolicy::None,
            replay_policy: ReplayPolicy::Instant,
            inactive_threshold: INACTIVE,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = log
            .link
            .jetstream()
            .create_consumer_on_stream(config, &log.stream)
            .await
            .map_err(|error| failed(&error))?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(BATCH)
            .expires(EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(|error| failed(&error))?;
        Ok(Self {
            log: log.clone(),
            messages,
            last: after,
        })
    }

    fn take(&mut self, next: Option<Result<Message, pull::MessagesError>>) -> Result<Record, StoreError> {
        let failed =
            |error: &dyn std::fmt::Display| StoreError::Failed(format!("the subscription broke: {error}"));
        let message = next
            .ok_or_else(|| failed(&"it ended"))?
            .map_err(|error| failed(&error))?;
        let (sequence, published) = match message.info() {
            Ok(info) => (info.stream_sequence, info.published),
            Err(error) => return Err(failed(&error)),
        };
        if sequence != self.last + 1 {
            return Err(failed(&format_args!(
                "sequence {sequence} came after {}",
                self.last
            )));
        }
        self.last = sequence;
        let message = message.message;
        Ok(self
            .log
            .record(sequence, &message.subject, message.payload, published))
    }
}

impl Subscription for JetStreamSubscription {
    async fn next(&mut self) -> Result<Record, StoreError> {
        let next = tokio::select! {
            next = self.messages.next() => next,
            () = self.log.disconnected() => {
                return Err(StoreError::Disconnected("the connection to NATS was lost".to_owned()));
            }
        };
        self.take(next)
    }

    fn ready(&mut self) -> Option<Result<Record, StoreError>> {
        let next = self.messages.next().now_or_never()?;
        Some(self.take(next))
    }
}

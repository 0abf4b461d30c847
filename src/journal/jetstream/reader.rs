//! Our own reader of a stream: an ephemeral pull consumer that is thrown away at the first doubt.
//!
//! The client's ordered consumers restart from sequence 1 when they are reset before their first message, and notice a
//! dead server only after a minute; here any error or missed heartbeat ends the reader, and whoever reads looks at where
//! the stream is before it opens a new one.

use std::time::Duration;

use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull},
    message::Message,
};
use chrono::{DateTime, Utc};
use flexgate_schemas::Timestamp;
use futures_util::{FutureExt as _, StreamExt as _};

use super::Link;
use crate::journal::store::StoreError;

/// How often an idle server must show that it is there; the client reports the second miss.
const HEARTBEAT: Duration = Duration::from_secs(3);
/// How many messages are asked for at once.
const BATCH: usize = 256;
/// How long one pull request lasts before it is renewed.
const EXPIRES: Duration = Duration::from_secs(30);
/// When the server forgets a consumer that nobody reads.
const INACTIVE: Duration = Duration::from_mins(1);

/// A reader at a place in a stream.
pub struct Reader {
    link: Link,
    messages: pull::Stream,
}

/// How much of each message is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// All of it.
    Whole,
    /// Its headers alone.
    Headers,
}

/// A message of a stream.
pub struct Stored {
    /// Where it lies.
    pub sequence: u64,
    /// When the server stored it.
    pub stored_at: Timestamp,
    /// What it is.
    pub message: async_nats::Message,
}

impl Reader {
    /// Reads what comes after this sequence. Asks the server, without a limit of time.
    pub async fn open(link: &Link, stream: &str, after: u64, content: Content) -> Result<Self, StoreError> {
        let from = DeliverPolicy::ByStartSequence {
            start_sequence: after + 1,
        };
        Self::at(link, stream, from, content).await
    }

    /// Reads what the server stored from a time on. Asks the server, without a limit of time.
    pub async fn since(link: &Link, stream: &str, time: DateTime<Utc>) -> Result<Self, StoreError> {
        let from = DeliverPolicy::ByStartTime { start_time: time };
        Self::at(link, stream, from, Content::Whole).await
    }

    async fn at(
        link: &Link,
        stream: &str,
        from: DeliverPolicy,
        content: Content,
    ) -> Result<Self, StoreError> {
        let config = pull::Config {
            deliver_policy: from,
            ack_policy: AckPolicy::None,
            replay_policy: ReplayPolicy::Instant,
            inactive_threshold: INACTIVE,
            headers_only: content == Content::Headers,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = link
            .jetstream()
            .create_consumer_on_stream(config, stream)
            .await
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(BATCH)
            .expires(EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(Self {
            link: link.clone(),
            messages,
        })
    }

    /// The next message. After an error the reader is of no use. Cancel-safe.
    pub async fn next(&mut self) -> Result<Stored, StoreError> {
        let next = tokio::select! {
            next = self.messages.next() => next,
            () = self.link.disconnected() => {
                return Err(StoreError::Disconnected("the connection to NATS was lost".to_owned()));
            }
        };
        stored(next)
    }

    /// The next message, if it is there already.
    pub fn ready(&mut self) -> Option<Result<Stored, StoreError>> {
        let next = self.messages.next().now_or_never()?;
        Some(stored(next))
    }
}

/// An error of the subscription, in one sentence.
pub(super) fn broken(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Failed(format!("the subscription broke: {error}"))
}

fn stored(next: Option<Result<Message, pull::MessagesError>>) -> Result<Stored, StoreError> {
    let message = next
        .ok_or_else(|| broken(&"it ended"))?
        .map_err(|error| broken(&error))?;
    let (sequence, published) = match message.info() {
        Ok(info) => (info.stream_sequence, info.published),
        Err(error) => return Err(broken(&error)),
    };
    Ok(Stored {
        sequence,
        stored_at: published.into(),
        message: message.message,
    })
}

//! The log on NATS JetStream.

use std::time::Duration;

use async_nats::{
    HeaderMap,
    client::RequestErrorKind,
    connection::State,
    jetstream::{
        self, ErrorCode,
        context::GetStreamErrorKind,
        publish::PublishAck,
        response::Response,
        stream::{RawMessageErrorKind, StorageType},
    },
};
use flexgate_schemas::Timestamp;

use super::store::{AppendError, Head, Outgoing, Record, Store, StoreError};

mod link;
mod publish;
mod reader;
pub mod streams;
mod subscription;

pub use link::{ConnectError, Link, login};
pub use reader::{Content, Reader, Stored};
pub use streams::Names;
pub use subscription::JetStreamSubscription;

/// How long one request to the server may take before its outcome counts as unknown.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// The CONFIG stream as a log.
#[derive(Debug, Clone)]
pub struct JetStreamLog {
    link: Link,
    stream: String,
    /// `<prefix>.config.`, which records' subjects go without.
    prefix: String,
}

impl JetStreamLog {
    /// The log of these names on this connection. The stream need not exist yet.
    pub fn new(link: Link, names: &Names) -> Self {
        Self {
            link,
            stream: names.config(),
            prefix: names.config_subject_prefix(),
        }
    }

    fn record(&self, sequence: u64, subject: &str, payload: bytes::Bytes, stored_at: Timestamp) -> Record {
        let subject = subject.strip_prefix(&self.prefix).unwrap_or(subject);
        Record {
            sequence,
            subject: subject.into(),
            payload,
            stored_at,
        }
    }

    fn no_stream(&self) -> StoreError {
        StoreError::Missing(self.stream.clone())
    }

    /// Runs one request, unless there is no connection: then nothing is sent, because the client would queue it and
    /// send it whenever the connection is back.
    async fn ask<T, E: std::fmt::Display>(
        &self,
        request: impl Future<Output = Result<T, E>>,
    ) -> Result<Result<T, E>, StoreError> {
        self.link.check().map_err(StoreError::Disconnected)?;
        tokio::time::timeout(REQUEST_TIMEOUT, request).await.map_err(|_| {
            StoreError::Failed(format!(
                "no answer from NATS within {} s",
                REQUEST_TIMEOUT.as_secs()
            ))
        })
    }
}

impl Store for JetStreamLog {
    type Subscription = JetStreamSubscription;

    async fn append(&self, message: &Outgoing, expected_last: u64) -> Result<u64, AppendError> {
        if self.link.client().connection_state() != State::Connected {
            return Err(AppendError::NotSent("NATS is not connected".to_owned()));
        }
        let limit = self.link.client().max_payload();
        if message.payload.len() > limit {
            return Err(AppendError::TooLarge {
                bytes: message.payload.len(),
                limit,
            });
        }
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", &*message.id);
        headers.insert("Nats-Expected-Stream", &*self.stream);
        headers.insert("Nats-Expected-Last-Sequence", expected_last.to_string());
        for (name, value) in &message.headers {
            headers.insert(*name, &**value);
        }
        let subject = format!("{}{}", self.prefix, message.subject);
        let request = self
            .link
            .client()
            .request_with_headers(subject, headers, message.payload.clone());
        let reply = match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
            Err(_) => {
                return Err(AppendError::Unknown(format!(
                    "none within {} s",
                    REQUEST_TIMEOUT.as_secs()
                )));
            }
            Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {
                return Err(AppendError::Busy(format!(
                    "the stream {} has no leader, or does not exist",
                    self.stream
                )));
            }
            Ok(Err(error)) => return Err(AppendError::Unknown(error.to_string())),
            Ok(Ok(reply)) => reply,
        };
        match serde_json::from_slice(&reply.payload) {
            Ok(Response::Ok(PublishAck { sequence, .. })) => Ok(sequence),
            Ok(Response::Err { error }) => Err(refusal(&error, message.payload.len(), limit)),
            Err(error) => Err(AppendError::Unknown(format!("an answer that is none: {error}"))),
        }
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let stream = self
            .ask(self.link.jetstream().get_stream(&self.stream))
            .await?
            .map_err(|error| match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    self.no_stream()
                }
                _ => StoreError::Failed(error.to_string()),
            })?;
        let state = &stream.cached_info().state;
        Ok(Head {
            first: state.first_sequence.max(1),
            last: state.last_sequence,
        })
    }

    async fn read(&self, sequence: u64) -> Result<Option<Record>, StoreError> {
        let stream = self
            .ask(self.link.jetstream().get_stream_no_info(&self.stream))
            .await?;
        let stream = stream.map_err(|error| StoreError::Failed(error.to_string()))?;
        match self.ask(stream.get_raw_message(sequence)).await? {
            Ok(message) => Ok(Some(self.record(
                message.sequence,
                &message.subject,
                message.payload,
                message.time.into(),
            ))),
            Err(error) => match error.kind() {
                RawMessageErrorKind::NoMessageFound => Ok(None),
                RawMessageErrorKind::JetStream(error)
                    if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Err(self.no_stream())
                }
                _ => Err(StoreError::Failed(error.to_string())),
            },
        }
    }

    async fn subscribe(&self, after: u64) -> Result<JetStreamSubscription, StoreError> {
        self.ask(JetStreamSubscription::open(self, after)).await?
    }

    async fn connected(&self) {
        self.link.connected().await;
    }

    async fn disconnected(&self) {
        self.link.disconnected().await;
    }
}

/// What an error of the server means for an append. The numbers are those of the server's `errors.json`.
fn refusal(error: &jetstream::Error, bytes: usize, limit: usize) -> AppendError {
    match error.error_code().0 {
        10071 | 10164 => AppendError::Conflict,
        10077 => AppendError::Full(error.to_string()),
        10054 => AppendError::TooLarge { bytes, limit },
        _ => AppendError::Busy(error.to_string()),
    }
}

/// Where streams are kept: in files, so that they survive the server.
pub(crate) const STORAGE: StorageType = StorageType::File;

//! Reading a stream that lets go of what is old, for the projector: everything after a place, as long as it is there.

use std::{ops::Range, time::Duration};

use async_nats::jetstream::stream::{Config, State};
use chrono::{DateTime, SubsecRound as _, Utc};
use flexgate_schemas::frame::{Delivered, Sealed, Source};
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::equation::Message;
use crate::journal::{
    jetstream::{Content, Link, Names, Reader, Stored},
    store::StoreError,
};

/// How long the server may take to say where the stream is.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A stream, to be read.
#[derive(Debug, Clone)]
pub struct Feed {
    link: Link,
    stream: String,
}

/// What the server says of the stream.
#[derive(Debug, Clone)]
pub struct Extent {
    /// When it was created, to the microsecond, which is how exactly a database remembers it.
    pub created: DateTime<Utc>,
    config: Config,
    state: State,
}

impl Feed {
    /// What became of requests. The stream need not exist yet.
    pub fn new(link: Link, names: &Names) -> Self {
        let stream = names.outcomes();
        Self { link, stream }
    }

    /// What somebody should hear of. The stream need not exist yet.
    pub fn of_alerts(link: Link, names: &Names) -> Self {
        let stream = names.alerts();
        Self { link, stream }
    }

    /// What was asked and not done. The stream need not exist yet.
    pub fn of_admin_events(link: Link, names: &Names) -> Self {
        let stream = names.admin();
        Self { link, stream }
    }

    /// Where the stream is now.
    pub async fn extent(&self) -> Result<Extent, StoreError> {
        let asking = in_time(self.link.jetstream().get_stream(&self.stream)).await?;
        let stream = asking.map_err(|error| StoreError::Failed(error.to_string()))?;
        let info = stream.cached_info();
        Ok(Extent {
            created: info.created.trunc_subsecs(6),
            config: info.config.clone(),
            state: info.state.clone(),
        })
    }

    /// What comes after a sequence, until the connection or the subscription breaks. The server may have let go of some of
    /// it: then it begins later.
    pub async fn after(&self, sequence: u64) -> Result<BoxStream<'static, Delivered>, StoreError> {
        let reader = in_time(Reader::open(&self.link, &self.stream, sequence, Content::Whole)).await??;
        let messages = stream::unfold(reader, async |mut reader| match reader.next().await {
            Ok(stored) => Some((delivered(stored), reader)),
            Err(error) => {
                tracing::debug!(%error, "the stream is to be read anew");
                None
            }
        });
        Ok(messages.boxed())
    }

    /// What there is after one sequence and up to another, which is not beyond the last.
    pub async fn between(&self, after: u64, last: u64) -> Result<Vec<Delivered>, StoreError> {
        let (mut messages, mut found) = (self.after(after).await?, Vec::new());
        // What is missing in between has been let go of; the last one of all has not.
        while let Some(message) = in_time(messages.next()).await? {
            let sequence = message.sequence;
            found.extend(Some(message).filter(|_| sequence <= last));
            if sequence >= last {
                return Ok(found);
            }
        }
        Err(StoreError::Disconnected(
            "the connection was lost meanwhile".to_owned(),
        ))
    }

    /// What is on the stream now, as the headers have it. For who counts and does not read.
    pub async fn listed(&self) -> Result<Vec<Message>, StoreError> {
        let state = self.extent().await?.state;
        let (last, mut listed) = (state.last_sequence, Vec::new());
        if state.messages == 0 {
            return Ok(listed);
        }
        let mut reader = in_time(Reader::open(&self.link, &self.stream, 0, Content::Headers)).await??;
        loop {
            let message = in_time(reader.next()).await??;
            listed.push(Message {
                sequence: message.sequence,
                run: run_of(&delivered(message).message),
            });
            if listed.last().is_some_and(|message| message.sequence >= last) {
                return Ok(listed);
            }
        }
    }
}

/// What a frame covers; none if it is not one.
fn run_of(message: &Sealed) -> Option<(Source, Range<u64>)> {
    let header = |name| message.header(name);
    let source = Source {
        node: header("ce-source")?.strip_prefix("/nodes/")?.parse().ok()?,
        boot: header("Flexgate-Boot")?.parse().ok()?,
        core: header("Flexgate-Core")?.parse().ok()?,
    };
    let first: u64 = header("Flexgate-First")?.parse().ok()?;
    let count: u32 = header("Flexgate-Count")?.parse().ok()?;
    Some((source, first..first.checked_add(count.into())?))
}

/// What the server answers, unless it takes too long.
pub(super) async fn in_time<T>(asking: impl Future<Output = T>) -> Result<T, StoreError> {
    let late = |_| StoreError::Failed("no answer from NATS in time".to_owned());
    tokio::time::timeout(ANSWER_WITHIN, asking).await.map_err(late)
}

impl Extent {
    /// From where on to read, for who has applied everything up to a sequence of a stream that was created then. A stream
    /// that was made anew, or is shorter than what was read of it, is read from its beginning.
    pub fn continuation(&self, stream_created: Option<DateTime<Utc>>, sequence: u64) -> u64 {
        let continues = stream_created == Some(self.created) && sequence <= self.state.last_sequence;
        if continues { sequence } else { 0 }
    }

    /// The sequence of the last message, also when it is gone.
    pub fn last_sequence(&self) -> u64 {
        self.state.last_sequence
    }

    /// The sequence of the first message that is still there; 0 if there was never one.
    pub fn first_sequence(&self) -> u64 {
        self.state.first_sequence
    }

    /// When the oldest message that is still there was stored.
    pub fn oldest(&self) -> DateTime<Utc> {
        self.state.first_timestamp
    }

    /// How many messages there are after a sequence.
    pub fn waiting(&self, sequence: u64) -> u64 {
        let gone = sequence.max(self.state.first_sequence.saturating_sub(1));
        self.state.last_sequence.saturating_sub(gone)
    }

    /// How much of what the stream may hold lies between a sequence, whose message was stored at a time, and its end: 1
    /// means that the next message is about to be let go of unread.
    pub fn backlog(&self, sequence: u64, stored_at: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
        let waiting = self.waiting(sequence);
        if waiting == 0 {
            return 0.0;
        }
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        let age = (now - stored_at).to_std().unwrap_or_default().as_secs_f64();
        let each = share(float(self.state.bytes), float(self.state.messages));
        let limit = float(u64::try_from(self.config.max_bytes).unwrap_or_default());
        share(age, self.config.max_age.as_secs_f64()).max(share(each * float(waiting), limit))
    }
}

#[expect(clippy::cast_precision_loss, reason = "shares, to be compared with a half")]
fn float(number: u64) -> f64 {
    number as f64
}

fn delivered(stored: Stored) -> Delivered {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, values) in stored.message.headers.iter().flat_map(|headers| headers.iter()) {
        let value = values.first().map(|value| value.as_str().to_owned());
        headers.push((name.to_string(), value.unwrap_or_default()));
    }
    headers.sort(); // the client keeps them in no order
    Delivered {
        sequence: stored.sequence,
        stored_at: stored.stored_at,
        message: Sealed {
            headers,
            payload: stored.message.payload.into(),
        },
    }
}

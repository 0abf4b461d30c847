//! Reading OUTCOMES, for the projector: everything after a place, as long as it is there.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, State};
use chrono::{DateTime, SubsecRound as _, Utc};
use flexgate_schemas::frame::{Delivered, Sealed};
use futures_util::stream::{self, BoxStream, StreamExt as _};

use crate::journal::{
    jetstream::{Link, Names, Reader, Stored},
    store::StoreError,
};

/// How long the server may take to say where the stream is.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The stream of outcomes, to be read.
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
    /// The stream need not exist yet.
    pub fn new(link: Link, names: &Names) -> Self {
        Self {
            link,
            stream: names.outcomes(),
        }
    }

    /// Where the stream is now.
    pub async fn extent(&self) -> Result<Extent, StoreError> {
        let failed = |error: &dyn std::fmt::Display| StoreError::Failed(error.to_string());
        let asking = self.link.jetstream().get_stream(&self.stream);
        let stream = tokio::time::timeout(ANSWER_WITHIN, asking)
            .await
            .map_err(|_| failed(&"no answer from NATS in time"))?
            .map_err(|error| failed(&error))?;
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
        let opening = Reader::open(&self.link, &self.stream, sequence);
        let reader = tokio::time::timeout(ANSWER_WITHIN, opening)
            .await
            .map_err(|_| StoreError::Failed("no answer from NATS in time".to_owned()))??;
        let messages = stream::unfold(reader, async |mut reader| match reader.next().await {
            Ok(stored) => Some((delivered(stored), reader)),
            Err(error) => {
                tracing::debug!(%error, "the outcomes are to be read anew");
                None
            }
        });
        Ok(messages.boxed())
    }
}

impl Extent {
    /// From where on to read, for who has applied everything up to a sequence of a stream that was created then. A stream
    /// that was made anew, or is shorter than what was read of it, is read from its beginning.
    pub fn continuation(&self, stream_created: Option<DateTime<Utc>>, sequence: u64) -> u64 {
        let continues = stream_created == Some(self.created) && sequence <= self.state.last_sequence;
        if continues { sequence } else { 0 }
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
    let headers = stored
        .message
        .headers
        .as_ref()
        .into_iter()
        .flat_map(|headers| headers.iter());
    let each = |(name, values): (&async_nats::HeaderName, &Vec<async_nats::HeaderValue>)| {
        let value = values.first().map(|value| value.as_str().to_owned());
        (name.to_string(), value.unwrap_or_default())
    };
    Delivered {
        sequence: stored.sequence,
        stored_at: stored.stored_at,
        message: Sealed {
            headers: headers.map(each).collect(),
            payload: stored.message.payload.into(),
        },
    }
}

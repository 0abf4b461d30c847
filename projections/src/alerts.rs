//! The projection `alerts`: what a person should hear of, one row each, for longer than the stream has it.
//!
//! Alerts of later versions, of which this one knows nothing, are kept like all others; only how much they matter is not
//! known. What is no alert at all stops the projection: an alert that nobody gets to see is worse than none.

use std::{pin::pin, slice, time::Duration};

use chrono::{DateTime, Utc};
use flexgate_schemas::{
    Timestamp,
    alert::{Alert, AlertKind, Severity},
    frame::Delivered,
};
use futures_util::stream::{Stream, StreamExt as _};
use serde::Deserialize;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection, types::Json};
use tokio::time::timeout;

use crate::{
    Error, Position,
    catalog::{Projection, Settling, Table},
    checkpoint::{self, bigint},
    migrate::late,
};

pub(crate) const STATEMENTS: [&str; 1] = [KEEP];

/// Never changes: the position is kept under it.
const NAME: &str = "alerts";
/// One more whenever the same alerts make other rows.
const VERSION: i32 = 1;

/// What the stream has let go of is older than everything on it.
pub(crate) static PROJECTION: Projection = Projection {
    name: NAME,
    about: "what a person should hear of",
    stream: "ALERTS",
    version: VERSION,
    tables: &[Table::whole("alerts", &["at", "occurrence"]).older(
        "NOT EXISTS (SELECT FROM alerts b WHERE b.occurrence = l.occurrence AND b.at = l.at)
         AND NOT EXISTS (SELECT FROM (SELECT stream_created, min(sequence) AS first FROM alerts GROUP BY 1) b
            WHERE b.stream_created = l.stream_created AND b.first <= l.sequence)",
    )],
    settling: Settling::Rows,
};

/// How many alerts that are there already share a transaction.
const BATCH_MAX: usize = 256;
/// How long one transaction may take.
const APPLY_WITHIN: Duration = Duration::from_secs(30);
/// How long the database may take to say who acts.
const TAKE_WITHIN: Duration = Duration::from_secs(10);

/// What is there already is the same alert: the stream was read again, or restored under other sequences.
const KEEP: &str = "
    INSERT INTO alerts (occurrence, at, stream_created, sequence, type, severity, node, subject, data)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (occurrence, at) DO NOTHING";

/// The projector that acts: of several, the one that holds the lock. Should two ever believe that they do, only the
/// later one's transactions commit. After an error it is dropped, and another one begins at the position.
#[derive(Debug)]
pub struct AlertProjector {
    connection: PgConnection,
    position: Position,
    /// Which of those that took over it is.
    epoch: i64,
}

/// An alert, as far as every version writes it.
#[derive(Debug, Deserialize)]
struct Told {
    id: String,
    node: String,
    timestamp: Timestamp,
    #[serde(rename = "type")]
    type_name: String,
    #[serde(default)]
    data: Value,
}

impl AlertProjector {
    /// The projection's name, as the checkpoint, metrics and alerts have it.
    pub const NAME: &str = NAME;

    /// Whether the projector with this connection may act. No: another one does; ask again.
    pub async fn may_act(connection: &mut PgConnection) -> Result<bool, Error> {
        let asking = checkpoint::lock(connection, NAME);
        timeout(TAKE_WITHIN, asking).await.map_err(late)?
    }

    /// Takes over, with a connection that [may](Self::may_act).
    pub async fn take_over(mut connection: PgConnection) -> Result<Self, Error> {
        let taking = Position::take(&mut connection, NAME, VERSION);
        let (position, epoch) = timeout(TAKE_WITHIN, taking).await.map_err(late)??;
        Ok(Self {
            connection,
            position,
            epoch,
        })
    }

    /// Up to where the stream has been applied.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Applies the messages of a stream that was created then, in order, until they end. Tells `applied` after each
    /// transaction.
    pub async fn run(
        &mut self,
        stream_created: DateTime<Utc>,
        messages: impl Stream<Item = Delivered>,
        mut applied: impl FnMut(&Position),
    ) -> Result<(), Error> {
        let mut batches = pin!(messages.ready_chunks(BATCH_MAX));
        while let Some(batch) = batches.next().await {
            match self.apply(stream_created, &batch).await {
                // One by one, up to the message that stops it: those before have done nothing wrong.
                Err(error) if error.stops() && batch.len() > 1 => {
                    for message in &batch {
                        self.apply(stream_created, slice::from_ref(message)).await?;
                    }
                }
                outcome => outcome?,
            }
            applied(&self.position);
        }
        Ok(())
    }

    async fn apply(&mut self, stream_created: DateTime<Utc>, batch: &[Delivered]) -> Result<(), Error> {
        timeout(APPLY_WITHIN, self.transact(stream_created, batch))
            .await
            .map_err(late)?
    }

    /// All of the batch, or nothing.
    async fn transact(&mut self, stream_created: DateTime<Utc>, batch: &[Delivered]) -> Result<(), Error> {
        let Some(last) = batch.last() else { return Ok(()) };
        let to = Position {
            stream_created: Some(stream_created),
            sequence: last.sequence,
        };
        let mut transaction = self.connection.begin().await?;
        // The fence first: whoever is behind it does no work, and two never wait for each other's rows.
        self.position
            .advance(&to, (NAME, self.epoch), &mut transaction)
            .await?;
        for message in batch {
            keep(&mut transaction, stream_created, message).await?;
        }
        transaction.commit().await?;
        self.position = to;
        Ok(())
    }
}

async fn keep(
    transaction: &mut PgConnection,
    stream_created: DateTime<Utc>,
    message: &Delivered,
) -> Result<(), Error> {
    let sequence = message.sequence;
    let unreadable = |error: serde_json::Error| Error::Unreadable {
        sequence,
        reason: error.to_string(),
    };
    let payload = &message.message.payload;
    let mut told: Told = serde_json::from_slice(payload).map_err(unreadable)?;
    // One of a later version is none that we know, which is no mistake.
    let known = serde_json::from_slice::<Alert>(payload)
        .ok()
        .map(|alert| alert.kind);
    let severity = known.as_ref().map(AlertKind::severity).map(Severity::as_str);
    let subject = known
        .as_ref()
        .and_then(|kind| kind.subject())
        .unwrap_or(&told.node);
    without_nul(&mut told.data);
    sqlx::query(KEEP)
        .bind(readable(&told.id))
        .bind(DateTime::<Utc>::from(told.timestamp))
        .bind(stream_created)
        .bind(bigint(sequence)?)
        .bind(readable(&told.type_name))
        .bind(severity)
        .bind(readable(&told.node))
        .bind(readable(subject))
        .bind(Json(&told.data))
        .execute(transaction)
        .await
        .map(drop)
        .map_err(|error| Error::of_event(sequence, error))
}

/// A text of PostgreSQL has no NUL.
fn readable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Nor has one in `jsonb`.
fn without_nul(value: &mut Value) {
    match value {
        Value::String(text) => *text = readable(text),
        Value::Array(items) => items.iter_mut().for_each(without_nul),
        Value::Object(fields) => fields.values_mut().for_each(without_nul),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

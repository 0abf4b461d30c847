//! The projection `alerts`: what a person should hear of, one row each, for longer than the stream has it.
//!
//! Alerts of later versions, of which this one knows nothing, are kept like all others; only how much they matter is not
//! known. What is no alert at all stops the projection: an alert that nobody gets to see is worse than none.

use chrono::{DateTime, Utc};
use flexgate_schemas::{
    Timestamp,
    alert::{Alert, AlertKind, Severity},
    frame::Delivered,
};
use serde::Deserialize;
use serde_json::Value;
use sqlx::{PgConnection, types::Json};

use crate::{
    Error,
    catalog::{Projection, Settling, Stream, Table},
    checkpoint::bigint,
    messages::{MessageProjector, Messages, readable},
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
    stream: Stream::Alerts,
    version: VERSION,
    tables: &[Table::whole("alerts", &["at", "occurrence"]).older(
        "NOT EXISTS (SELECT FROM alerts b WHERE b.occurrence = l.occurrence AND b.at = l.at)
         AND NOT EXISTS (SELECT FROM (SELECT stream_created, min(sequence) AS first FROM alerts GROUP BY 1) b
            WHERE b.stream_created = l.stream_created AND b.first <= l.sequence)",
    )],
    settling: Settling::Rows,
};

/// What is there already is the same alert: the stream was read again, or restored under other sequences.
const KEEP: &str = "
    INSERT INTO alerts (occurrence, at, stream_created, sequence, type, severity, node, subject, data)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (occurrence, at) DO NOTHING";

/// The projection.
#[derive(Debug)]
pub enum AlertRows {}

/// The projector of it.
pub type AlertProjector = MessageProjector<AlertRows>;

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

impl Messages for AlertRows {
    const NAME: &str = NAME;
    const VERSION: i32 = VERSION;

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
}

/// As a text has none of PostgreSQL, `jsonb` has no NUL.
fn without_nul(value: &mut Value) {
    match value {
        Value::String(text) => *text = readable(text),
        Value::Array(items) => items.iter_mut().for_each(without_nul),
        Value::Object(fields) => fields.values_mut().for_each(without_nul),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

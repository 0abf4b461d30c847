//! `flexgate.dead_letter`: messages that could not be applied, kept whole.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};

use super::{NAME, batch::Dead};
use crate::checkpoint::bigint;

pub(super) const STATEMENTS: [&str; 1] = [PUT];

const PUT: &str = "
    INSERT INTO dead_letter (projection, stream_created, sequence, stored_at, error, headers, payload)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (projection, stream_created, sequence) DO NOTHING";

/// Keeps a message for whoever can do something about it.
pub(super) async fn put(
    transaction: &mut PgConnection,
    stream_created: Option<DateTime<Utc>>,
    dead: &Dead,
) -> Result<(), sqlx::Error> {
    let delivered = &dead.message;
    // `jsonb` and `text` take no NUL, and headers are whatever somebody sent.
    let readable = |text: &str| text.replace('\0', "\u{fffd}");
    let headers = delivered.message.headers.iter();
    let headers: Vec<_> = headers
        .map(|(name, value)| (readable(name), readable(value)))
        .collect();
    sqlx::query(PUT)
        .bind(NAME)
        .bind(stream_created.unwrap_or_default())
        .bind(bigint(delivered.sequence)?)
        .bind(DateTime::<Utc>::from(delivered.stored_at))
        .bind(readable(&dead.error))
        .bind(Json(headers))
        .bind(&*delivered.message.payload)
        .execute(transaction)
        .await
        .map(drop)
}

//! What was folded, written into the tables.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{batch::Batch, rollups, rows, sources};

/// Writes what a batch counts for and its rows, which are gone from it then. What was put aside is left to the caller.
pub(super) async fn write(
    transaction: &mut PgConnection,
    stream_created: Option<DateTime<Utc>>,
    batch: &mut Batch,
) -> Result<(), sqlx::Error> {
    rollups::merge(transaction, batch).await?;
    rollups::note_first(transaction, stream_created, batch).await?;
    sources::put(transaction, &batch.sources).await?;
    let rows = std::mem::take(&mut batch.rows);
    if rows.count() > 0 {
        let mut copy = transaction.copy_in_raw(rows::COPY).await?;
        copy.send(rows.finish()).await?;
        copy.finish().await?;
    }
    Ok(())
}

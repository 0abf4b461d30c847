//! Applying once more what could not be applied: after an upgrade that can read it, or when the database takes it.

use chrono::{DateTime, Utc};
use flexgate_schemas::{
    Timestamp,
    frame::{Delivered, Sealed},
};
use sqlx::{Connection as _, PgConnection, types::Json};
use tokio::time::timeout;

use super::{
    APPLY_WITHIN, NAME, VERSION,
    batch::{Batch, Fold},
    restoring, sources, writing,
};
use crate::{
    Error, Position, checkpoint::bigint, connect, migrate::late, partitions::Partitions, rebuild::LOCK,
};

pub(super) const STATEMENTS: [&str; 3] = [LETTERS, BURY, STILL];

/// How many are retried at once.
const LETTERS_MAX: i64 = 1000;

/// By their ids, as [`id`] writes them; the oldest first.
const LETTERS: &str = "
    SELECT stream_created, sequence, stored_at, headers, payload FROM dead_letter
    WHERE projection = $1 AND ($2::timestamptz IS NULL OR (stream_created, sequence) = ($2, $3))
    ORDER BY stream_created, sequence LIMIT $4";

const BURY: &str = "DELETE FROM dead_letter WHERE projection = $1 AND stream_created = $2 AND sequence = $3";

const STILL: &str = "
    UPDATE dead_letter SET error = $4 WHERE projection = $1 AND stream_created = $2 AND sequence = $3";

/// What became of dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retried {
    /// How many were applied.
    pub applied: u64,
    /// The ids of the others, each with why.
    pub failed: Vec<(String, String)>,
}

type Letter = (
    DateTime<Utc>,
    i64,
    DateTime<Utc>,
    Json<Vec<(String, String)>>,
    Vec<u8>,
);

/// Applies one dead letter once more, or a thousand. Whoever projects meanwhile finds that another one has taken over, and
/// begins again with what is then known of the sources, so that nothing counts twice.
pub async fn retry(url: &str, which: Option<&str>) -> Result<Retried, Error> {
    let which =
        which.map(|id| place(id).ok_or_else(|| Error::Stream(format!("no dead letter has the id {id:?}"))));
    let which = which.transpose()?;
    let mut connection = connect(url).await?;
    let locking = sqlx::query_scalar(LOCK).bind(NAME).fetch_one(&mut connection);
    let is_ours: bool = timeout(APPLY_WITHIN, locking).await.map_err(late)??;
    if !is_ours {
        return Err(Error::Stream(
            "outcomes are being made anew, or their dead letters are being applied: try again when that is done".to_owned(),
        ));
    }
    let looking = sqlx::query_as(LETTERS)
        .bind(NAME)
        .bind(which.map(|(created, _)| created))
        .bind(which.map(|(_, sequence)| sequence))
        .bind(LETTERS_MAX)
        .fetch_all(&mut connection);
    let letters: Vec<Letter> = timeout(APPLY_WITHIN, looking).await.map_err(late)??;
    if let (Some((created, sequence)), true) = (which, letters.is_empty()) {
        let id = id(created, sequence);
        return Err(Error::Stream(format!("no dead letter has the id {id:?}")));
    }
    let mut retried = Retried::default();
    for (created, sequence, stored_at, headers, payload) in letters {
        let message = Delivered {
            sequence: sequence.unsigned_abs(),
            stored_at: Timestamp::from(stored_at),
            message: Sealed {
                headers: headers.0,
                payload,
            },
        };
        let applying = apply(&mut connection, created, message);
        match timeout(APPLY_WITHIN, applying).await.map_err(late)? {
            Ok(()) => retried.applied += 1,
            Err(Failed::Still(why)) => {
                sqlx::query(STILL)
                    .bind(NAME)
                    .bind(created)
                    .bind(sequence)
                    .bind(&why)
                    .execute(&mut connection)
                    .await?;
                retried.failed.push((id(created, sequence), why));
            }
            Err(Failed::Now(error)) => return Err(error),
        }
    }
    Ok(retried)
}

/// The id of a dead letter: when its stream was created, in microseconds, and its sequence.
pub(crate) fn id(created: DateTime<Utc>, sequence: i64) -> String {
    format!("{}-{sequence}", created.timestamp_micros())
}

fn place(id: &str) -> Option<(DateTime<Utc>, i64)> {
    let (created, sequence) = id.split_once('-')?;
    Some((
        DateTime::from_timestamp_micros(created.parse().ok()?)?,
        sequence.parse().ok()?,
    ))
}

/// Why a letter was not applied.
enum Failed {
    /// It cannot be, as before.
    Still(String),
    /// Nothing can be now.
    Now(Error),
}

impl<E: Into<Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        match error.into() {
            refused @ Error::Inapplicable { .. } => Self::Still(refused.without_values()),
            error => Self::Now(error),
        }
    }
}

async fn apply(
    connection: &mut PgConnection,
    created: DateTime<Utc>,
    message: Delivered,
) -> Result<(), Failed> {
    let hours = fold(connection, created, message.clone())
        .await?
        .rows
        .hours()
        .clone();
    Partitions::load(connection)
        .await?
        .ensure(connection, &hours, 0)
        .await?;
    let sequence = message.sequence;
    let mut transaction = connection.begin().await?;
    // The row that this changes is the one that whoever projects changes first.
    Position::take(&mut transaction, NAME, VERSION).await?;
    let mut batch = fold(&mut transaction, created, message).await?;
    writing::write(&mut transaction, Some(created), &mut batch)
        .await
        .map_err(|error| Error::of_event(sequence, error))?;
    sqlx::query(BURY)
        .bind(NAME)
        .bind(created)
        .bind(bigint(sequence)?)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

async fn fold(
    connection: &mut PgConnection,
    created: DateTime<Utc>,
    message: Delivered,
) -> Result<Batch, Failed> {
    let mut fold = Fold {
        sources: sources::load(connection).await?,
        complete: restoring::load(connection, Some(created)).await?,
    };
    let batch = fold.fold(vec![message]);
    match batch.dead.first() {
        Some(dead) => Err(Failed::Still(dead.error.clone())),
        None => Ok(batch),
    }
}

//! Applying once more what could not be applied: after an upgrade that can read it, or when the database takes it.

mod bundle;

use std::iter;

use sqlx::PgConnection;
use tokio::time::{error::Elapsed, timeout};

use self::bundle::{Bundle, Listed};
use super::{APPLY_WITHIN, NAME, dead::LetterId};
use crate::{Error, checkpoint::bigint, connect, migrate::late, rebuild::LOCK};

pub(super) const STATEMENTS: [&str; 2] = [LISTED, bundle::LETTERS];

/// How many are retried at once.
const LETTERS_MAX: i64 = 1000;

/// The oldest first, with their sizes.
const LISTED: &str = "
    SELECT stream_created, sequence, length(payload) FROM dead_letter
    WHERE projection = $1 AND ($2::timestamptz IS NULL OR (stream_created, sequence) = ($2, $3))
    ORDER BY stream_created, sequence LIMIT $4";

/// What became of dead letters.
#[derive(Debug, Default)]
pub struct Retried {
    /// How many were applied.
    pub applied: u64,
    /// The others, each with why.
    pub failed: Vec<(LetterId, String)>,
    /// What kept the last of those from being tried, if something did.
    pub stopped_by: Option<Error>,
}

/// Why no dead letter was tried.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// There is none with this id.
    #[error("no dead letter has the id {0}")]
    NoLetter(LetterId),
    /// Somebody makes the projection anew, or applies its dead letters.
    #[error("the projection is being made anew, or its dead letters are being applied")]
    Busy,
    /// The tables cannot be asked.
    #[error(transparent)]
    Tables(#[from] Error),
}

/// Applies one dead letter once more, or the oldest thousand. Whoever projects meanwhile finds that another one has taken
/// over, and begins again with what is then known of the sources, so that nothing counts twice.
pub async fn retry(url: &str, which: Option<LetterId>) -> Result<Retried, RetryError> {
    let mut connection = connect(url).await?;
    let looking = list(&mut connection, which);
    let listed = timeout(APPLY_WITHIN, looking).await.map_err(silent)??;
    let listed = listed.ok_or(RetryError::Busy)?;
    if let (Some(id), true) = (which, listed.is_empty()) {
        return Err(RetryError::NoLetter(id));
    }
    let mut retried = Retried::default();
    let mut bundles = bundle::of(listed).into_iter();
    while let Some(bundle) = bundles.next() {
        let applying = bundle.apply(&mut connection);
        match timeout(APPLY_WITHIN, applying).await.map_err(silent).flatten() {
            Ok(more) => {
                retried.applied += more.applied;
                retried.failed.extend(more.failed);
            }
            // What was applied before is told all the same.
            Err(error) => {
                let why = error.without_values();
                let left = iter::once(bundle).chain(bundles.by_ref());
                let left = left.flat_map(Bundle::into_ids);
                retried.failed.extend(left.map(|id| (id, why.clone())));
                retried.stopped_by = Some(error);
            }
        }
    }
    Ok(retried)
}

/// What there is to be retried; none if somebody else is at it.
async fn list(connection: &mut PgConnection, which: Option<LetterId>) -> Result<Option<Vec<Listed>>, Error> {
    let is_ours: bool = sqlx::query_scalar(LOCK)
        .bind(NAME)
        .fetch_one(&mut *connection)
        .await?;
    if !is_ours {
        return Ok(None);
    }
    let listed = sqlx::query_as(LISTED)
        .bind(NAME)
        .bind(which.map(|id| id.stream_created))
        .bind(which.map(|id| bigint(id.sequence)).transpose()?)
        .bind(LETTERS_MAX)
        .fetch_all(connection)
        .await?;
    Ok(Some(listed))
}

fn silent(elapsed: Elapsed) -> Error {
    late(elapsed).into()
}

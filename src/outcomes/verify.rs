//! Asks tables, stream and outbox what they hold, and holds it against each other.

use std::path::Path;

use flexgate_projections::{Accounts, Error};

use super::{
    equation::{Runs, Verdict, check},
    feed::Feed,
    outbox::Outbox,
};
use crate::journal::store::StoreError;

/// Why it cannot be said whether all is well.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database cannot be asked.
    #[error("the tables cannot be counted: {0}")]
    Tables(#[from] Error),
    /// The stream cannot be asked.
    #[error("the stream of outcomes cannot be read: {0}")]
    Stream(#[from] StoreError),
    /// The outbox cannot be looked at.
    #[error("the outbox cannot be read: {0}")]
    Outbox(#[from] std::io::Error),
}

/// Verifies. `outbox` is the folder of the node at hand, if it has one: what waits on other nodes is not seen.
///
/// Outcomes go from the outbox over the stream into the tables while this looks. It looks the other way round, so that it
/// misses none; some may be counted as waiting that have arrived meanwhile.
pub async fn verify(database: &str, feed: &Feed, outbox: &Path) -> Result<Verdict, VerifyError> {
    let mut connection = flexgate_projections::open(database).await?;
    let accounts = Accounts::read(&mut connection).await?;
    let stream = feed.listed().await?;
    let mut waiting = Runs::default();
    if outbox.is_dir() {
        let folder = outbox.to_owned();
        let looking = tokio::task::spawn_blocking(move || Outbox::peek(&folder));
        let found = looking.await.map_err(std::io::Error::other)??;
        for (source, run) in found {
            waiting.add(source, run);
        }
    }
    Ok(check(&accounts, &stream, &waiting))
}

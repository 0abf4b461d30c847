//! Where tables are: those that are read, and those that are made anew.

use chrono::{DateTime, Utc};
use flexgate_schemas::Chain;
use sqlx::PgConnection;
use tokio::time::timeout;

use super::ANSWER_WITHIN;
use crate::{Error, catalog::Projection, checkpoint::unreadable, migrate::late};

const LIVE: &str = "
    SELECT version, generation, sequence, chain, stream_created FROM projection_checkpoint WHERE projection = $1";

type Row = (i32, i64, i64, String, Option<DateTime<Utc>>);

/// Where tables are filled up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Live {
    /// The history of CONFIG.
    pub generation: u64,
    /// The sequence of the last message that was applied; 0 before the first.
    pub sequence: u64,
    /// The chain of CONFIG up to and with that.
    pub chain: Chain,
    /// When the stream was created.
    pub stream_created: Option<DateTime<Utc>>,
}

impl Live {
    /// Whether tables that were filled up to here have what those have that are read and are as far as this: the same
    /// history, and nothing that is yet to come to those. What comes to a count that is carried over would be lost.
    pub(super) fn holds(&self, live: &Self, goal: u64, projection: &Projection) -> Result<(), Error> {
        let projection = projection.name;
        if self.generation == live.generation && self.sequence > goal {
            return Err(Error::Behind { projection });
        }
        if (self.generation, self.chain) != (live.generation, live.chain) {
            return Err(Error::Replaced { projection });
        }
        Ok(())
    }
}

/// Where tables are; they are not those of a later version.
pub(super) async fn look(connection: &mut PgConnection, projection: &Projection) -> Result<Live, Error> {
    let looking = sqlx::query_as(LIVE)
        .bind(projection.name)
        .fetch_optional(connection);
    let held: Option<Row> = timeout(ANSWER_WITHIN, looking).await.map_err(late)??;
    let Some((version, generation, sequence, chain, stream_created)) = held else {
        return Ok(Live::default());
    };
    if version > projection.version {
        return Err(Error::Newer {
            projection: projection.name,
        });
    }
    Ok(Live {
        generation: generation.unsigned_abs(),
        sequence: sequence.unsigned_abs(),
        chain: chain.parse().map_err(unreadable)?,
        stream_created,
    })
}

//! That a projection has stopped, and goes on: written down beside its checkpoint, so that somebody hears of either once,
//! however often the process is started meanwhile.

use sqlx::Connection as _;
use tokio::time::timeout;

use crate::{
    Error,
    migrate::{late, open},
};

pub(crate) const STATEMENTS: [&str; 2] = [STOP, GO_ON];

/// How long the database may take to write it down.
const WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

const STOP: &str = "
    WITH noted AS (
        UPDATE flexgate.projection_checkpoint
        SET stopped_at = now(), stopped_because = $2, stopped_behind = CASE WHEN $3 THEN sequence END
        WHERE projection = $1 AND stopped_at IS NULL
        RETURNING sequence
    )
    SELECT c.sequence, EXISTS (SELECT FROM noted) FROM flexgate.projection_checkpoint c WHERE c.projection = $1";

/// What stopped at an event goes on when it has come past that. Of one row both parts see what was there before.
const GO_ON: &str = "
    WITH noted AS (
        UPDATE flexgate.projection_checkpoint
        SET stopped_at = NULL, stopped_because = NULL, stopped_behind = NULL
        WHERE projection = $1 AND stopped_at IS NOT NULL AND stopped_behind IS DISTINCT FROM sequence
        RETURNING sequence
    )
    SELECT c.sequence, EXISTS (SELECT FROM noted) FROM flexgate.projection_checkpoint c
    WHERE c.projection = $1 AND c.stopped_at IS NOT NULL";

/// What is known of a projection that had stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// The sequence of the last event that it has applied.
    pub position: u64,
    /// Whether this is news.
    pub is_news: bool,
}

/// Writes down that a projection has stopped, and why; none if the tables know nothing of it yet.
pub async fn note_stop(url: &str, projection: &str, error: &Error) -> Result<Option<Stopped>, Error> {
    let noting = async {
        let mut connection = open(url).await?;
        let noted: Option<(i64, bool)> = sqlx::query_as(STOP)
            .bind(projection)
            .bind(error.without_values())
            .bind(error.is_of_an_event())
            .fetch_optional(&mut connection)
            .await?;
        connection.close().await?;
        Ok(noted.map(Stopped::of))
    };
    timeout(WITHIN, noting).await.map_err(late)?
}

/// Writes down that a projection goes on, if it does: none if it had not stopped, and no news while it has not come past
/// where it stopped.
pub async fn note_going_on(url: &str, projection: &str) -> Result<Option<Stopped>, Error> {
    let noting = async {
        let mut connection = open(url).await?;
        let noted: Option<(i64, bool)> = sqlx::query_as(GO_ON)
            .bind(projection)
            .fetch_optional(&mut connection)
            .await?;
        connection.close().await?;
        Ok(noted.map(Stopped::of))
    };
    timeout(WITHIN, noting).await.map_err(late)?
}

impl Stopped {
    fn of((position, is_news): (i64, bool)) -> Self {
        Self {
            position: position.unsigned_abs(),
            is_news,
        }
    }
}

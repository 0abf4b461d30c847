//! The tables for those who only ask: a few connections that can change nothing.

mod alerts;
mod analytics;
mod audit;
mod projections;
mod requests;

use std::time::Duration;

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::{Instant, sleep};

pub use alerts::{AlertCursor, AlertEntry, AlertFilter};
pub use analytics::{Aspect, Counted, Had, Interval, Most, Point, Share, Span};
pub use audit::{AuditChange, AuditCursor, AuditEntry, AuditFilter, AuditPage};
pub use projections::{DeadLetterEntry, ProjectionEntry};
pub use requests::{RequestCursor, RequestEntry, RequestFilter, RequestPage};

use crate::Error;

pub(crate) fn statements() -> impl Iterator<Item = &'static str> {
    [SEQUENCE]
        .into_iter()
        .chain(audit::STATEMENTS)
        .chain(projections::STATEMENTS)
        .chain(alerts::STATEMENTS)
        .chain(requests::STATEMENTS)
        .chain(analytics::statements())
}

/// How many questions are asked at the same time. Further ones wait.
const CONNECTIONS_MAX: u32 = 4;
/// How long a question waits for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How long a connection is kept that nobody needs.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// How long a question may take, in milliseconds. PostgreSQL ends it then.
const ANSWER_WITHIN: &str = "10000";
/// The pause before a checkpoint is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

const SEQUENCE: &str = "SELECT sequence FROM flexgate.projection_checkpoint WHERE projection = $1";

/// The tables, for those who only ask. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Tables {
    pool: PgPool,
}

impl Tables {
    /// Connects when something is asked.
    pub fn new(url: &str) -> Result<Self, Error> {
        // What the parser says may repeat the password.
        let unreadable = |_| sqlx::Error::Configuration("its URL cannot be read".into());
        let options: PgConnectOptions = url.parse().map_err(unreadable)?;
        let options = options.application_name("flexgate").options([
            ("default_transaction_read_only", "on"),
            ("statement_timeout", ANSWER_WITHIN),
            // Most of what can be asked for is not: a plan for everything at once would be one for nothing.
            ("plan_cache_mode", "force_custom_plan"),
            ("timezone", "UTC"),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(CONNECT_WITHIN)
            .idle_timeout(IDLE_MAX)
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// Waits until the tables of the configuration have a revision. Says the one that they have if that takes too long.
    pub async fn reach(&self, revision: u64, within: Duration) -> Result<Result<(), u64>, Error> {
        let until = Instant::now() + within;
        loop {
            let sequence: Option<i64> = sqlx::query_scalar(SEQUENCE)
                .bind(crate::config::NAME)
                .fetch_optional(&self.pool)
                .await?;
            let sequence = sequence.unwrap_or_default().unsigned_abs();
            if sequence >= revision {
                return Ok(Ok(()));
            }
            if Instant::now() >= until {
                return Ok(Err(sequence));
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

//! The read models in PostgreSQL, and the projectors that keep them.
//!
//! A projection is a fold of a stream into tables of schema `flexgate`. Its rows and its checkpoint move in one
//! transaction, so that a crash loses nothing and repeats nothing.

mod admin_events;
mod alerts;
mod catalog;
mod checkpoint;
mod config;
mod error;
mod messages;
mod migrate;
mod outcomes;
mod partitions;
mod position;
mod rebuild;
mod retention;
mod sketch;
mod status;
mod stops;
mod tables;

pub use admin_events::AdminEvents;
pub use alerts::{AlertProjector, AlertRows};
pub use catalog::{PROJECTIONS, Projection, Stream};
pub use checkpoint::Checkpoint;
pub use config::ConfigProjector;
pub use error::Error;
pub use messages::{MessageProjector, Messages};
pub use migrate::{Ran, connect, migrate, open};
pub use outcomes::{
    Accounts, Applied, Closing, Counts, Dead, DueHour, LetterId, OutcomeProjector, Retried, RetryError, Skew,
    Taken, retry,
};
pub use position::Position;
pub use rebuild::{
    Begun, Building, Compared, Comparison, Difference, Live, NoPace, Pace, Phase, Progress, Rebuild, Refill,
    Side, Whose,
};
pub use retention::Retention;
pub use status::{Asked, Standing, position};
pub use stops::{Stopped, note_going_on, note_stop};
pub use tables::{
    AlertCursor, AlertEntry, AlertFilter, Aspect, AuditChange, AuditCursor, AuditEntry, AuditFilter,
    AuditPage, Counted, Had, Interval, Most, Point, RequestCursor, RequestEntry, RequestFilter, RequestPage,
    Share, Span, Tables,
};
pub use tables::{DeadLetterEntry, ProjectionEntry};

/// Every statement that this package sends. A test has a migrated database prepare each of them.
pub fn statements() -> impl Iterator<Item = &'static str> {
    checkpoint::STATEMENTS
        .into_iter()
        .chain(position::STATEMENTS)
        .chain(stops::STATEMENTS)
        .chain(admin_events::STATEMENTS)
        .chain(alerts::STATEMENTS)
        .chain(config::statements())
        .chain(outcomes::statements())
        .chain(partitions::STATEMENTS)
        .chain(retention::STATEMENTS)
        .chain(status::STATEMENTS)
        .chain(tables::statements())
}

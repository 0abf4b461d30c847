//! The projection `admin_events`: what was asked of the admin API, or by a file, and not done, as rows of the audit log.
//!
//! What cannot be read stops it: of what was refused, nothing is passed over in silence.

use chrono::{DateTime, Utc};
use flexgate_schemas::{AdminEvent, admin::Call, frame::Delivered};
use sqlx::PgConnection;

use crate::{
    Error,
    catalog::{Projection, Settling, Stream, Table},
    checkpoint::bigint,
    messages::{Messages, readable},
};

pub(crate) const STATEMENTS: [&str; 1] = [LOG];

/// Never changes: the position is kept under it.
const NAME: &str = "admin_events";
/// One more whenever the same events make other rows.
const VERSION: i32 = 1;

/// The stream lets go of the oldest of each of its subjects, so that what it has let go of is not older than everything on it:
/// it is what it does not have.
pub(crate) static PROJECTION: Projection = Projection {
    name: NAME,
    about: "what was asked and not done",
    stream: Stream::Admin,
    version: VERSION,
    tables: &[Table::whole("audit_log", &["stream", "history", "sequence"])
        .own("l.stream = 'ADMIN'")
        .older(
            "NOT EXISTS (SELECT FROM audit_log b WHERE b.stream = 'ADMIN' AND b.commit_id = l.commit_id)",
        )],
    settling: Settling::Rows,
};

/// The history of the stream is when it was created, in microseconds. An event that is there under another history came with
/// a stream that was restored: it keeps its id.
const LOG: &str = "
    INSERT INTO audit_log
        (stream, history, sequence, at, level, message, actor_type, actor, source, file, commit_id,
        correlation, trace, address, agent, method, path, status, code, times)
    SELECT 'ADMIN', $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::text::inet, $14, $15, $16, $17, $18, $19
    WHERE NOT EXISTS (SELECT FROM audit_log
        WHERE stream = 'ADMIN' AND commit_id = $10 AND (history, sequence) <> ($1, $2))
    ON CONFLICT (stream, history, sequence) DO UPDATE SET
        at = EXCLUDED.at, level = EXCLUDED.level, message = EXCLUDED.message, actor_type = EXCLUDED.actor_type,
        actor = EXCLUDED.actor, source = EXCLUDED.source, file = EXCLUDED.file, commit_id = EXCLUDED.commit_id,
        correlation = EXCLUDED.correlation, trace = EXCLUDED.trace, address = EXCLUDED.address, agent = EXCLUDED.agent,
        method = EXCLUDED.method, path = EXCLUDED.path, status = EXCLUDED.status, code = EXCLUDED.code,
        times = EXCLUDED.times";

/// The projection.
#[derive(Debug)]
pub enum AdminEvents {}

impl Messages for AdminEvents {
    const NAME: &str = NAME;
    const VERSION: i32 = VERSION;

    async fn keep(
        transaction: &mut PgConnection,
        stream_created: DateTime<Utc>,
        message: &Delivered,
    ) -> Result<(), Error> {
        let sequence = message.sequence;
        let event =
            AdminEvent::from_payload(&message.message.payload).map_err(|error| Error::Unreadable {
                sequence,
                reason: error.to_string(),
            })?;
        log(transaction, (stream_created, sequence), &event)
            .await
            .map_err(|error| Error::of_event(sequence, error))
    }
}

async fn log(
    transaction: &mut PgConnection,
    (stream_created, sequence): (DateTime<Utc>, u64),
    event: &AdminEvent,
) -> Result<(), sqlx::Error> {
    let (from, call) = (&event.provenance, event.deed.call());
    let actor = event.actor.as_ref();
    sqlx::query(LOG)
        .bind(stream_created.timestamp_micros())
        .bind(bigint(sequence)?)
        .bind(DateTime::<Utc>::from(event.at))
        .bind(event.deed.level())
        .bind(readable(&event.deed.to_string()))
        .bind(actor.map(|actor| actor.kind.as_str()))
        .bind(actor.map(|actor| readable(&actor.id)))
        .bind(event.source.kind())
        .bind(event.source.file().map(readable))
        .bind(readable(&event.id))
        .bind(from.correlation_id.as_deref().map(readable))
        .bind(from.trace_id())
        .bind(from.address.map(|address| address.to_string()))
        .bind(from.agent.as_deref().map(readable))
        .bind(call.map(|call| readable(&call.method)))
        .bind(call.map(|call| readable(&call.path)))
        .bind(call.map(|call| i32::from(call.status)))
        .bind(event.deed.code().map(readable))
        .bind(call.map(|call: &Call| bigint(call.times)).transpose()?)
        .execute(transaction)
        .await
        .map(drop)
}

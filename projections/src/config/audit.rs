//! `flexgate.audit_log` and `flexgate.audit_changes`: who changed what, when and why, and what it was before.
//!
//! In the projection of the configuration, because what an entity was before is the row that a commit is about to replace.

use flexgate_schemas::{audit::Value, commit::Recorded};
use serde::Serialize;
use sqlx::{
    PgConnection,
    types::{
        Json,
        chrono::{DateTime, Utc},
    },
};

use super::run::Run;
use crate::checkpoint::bigint;

pub(super) const STATEMENTS: [&str; 4] = [FORGET_CHANGES, LOG, KEEP, CHANGES];

/// A commit that was told before is told again when the tables are made anew, perhaps by a later version with other words.
const FORGET_CHANGES: &str = "DELETE FROM audit_changes WHERE history = $1 AND revision = $2";

const LOG: &str = "
    INSERT INTO audit_log
        (stream, history, sequence, at, level, message, actor_type, actor, source, file, reason, revision, commit_id,
        correlation, trace, address, agent)
    VALUES ('CONFIG', $1, $2, $3, 'info', $4, $5, $6, $7, $8, $9, $2, $10, $11, $12, $13::text::inet, $14)
    ON CONFLICT (stream, history, sequence) DO UPDATE SET
        at = EXCLUDED.at, level = EXCLUDED.level, message = EXCLUDED.message, actor_type = EXCLUDED.actor_type,
        actor = EXCLUDED.actor, source = EXCLUDED.source, file = EXCLUDED.file, reason = EXCLUDED.reason,
        revision = EXCLUDED.revision, commit_id = EXCLUDED.commit_id,
        correlation = EXCLUDED.correlation, trace = EXCLUDED.trace, address = EXCLUDED.address, agent = EXCLUDED.agent";

const KEEP: &str = "
    INSERT INTO audit_commits (history, revision, payload) VALUES ($1, $2, $3)
    ON CONFLICT (history, revision) DO UPDATE SET payload = EXCLUDED.payload";

/// What it was before is what the tables hold until the change is applied to them.
const CHANGES: &str = "
    INSERT INTO audit_changes (history, revision, ordinal, kind, entity, action, before, after)
    SELECT $1, $2, ordinal, kind, entity, action, CASE kind
        WHEN 'route' THEN (SELECT value FROM routes WHERE id = entity)
        WHEN 'upstream' THEN (SELECT value FROM upstreams WHERE name = entity)
        WHEN 'key' THEN (SELECT value FROM api_keys WHERE id = entity)
        WHEN 'settings' THEN (SELECT value FROM settings WHERE id = entity)
    END, after
    FROM jsonb_to_recordset($3) AS c(ordinal integer, kind text, entity text, action text, after jsonb)";

/// What became of one entity, with the names of the columns.
#[derive(Serialize)]
struct Row<'a> {
    ordinal: usize,
    kind: &'static str,
    entity: String,
    action: &'static str,
    after: Option<&'a Value<'a>>,
}

/// Writes down a commit, without its changes.
pub(super) async fn log(transaction: &mut PgConnection, recorded: &Recorded) -> Result<(), sqlx::Error> {
    let commit = &*recorded.commit;
    let from = commit.provenance.as_deref().cloned().unwrap_or_default();
    let (history, revision) = (bigint(commit.generation)?, bigint(recorded.revision)?);
    sqlx::query(FORGET_CHANGES)
        .bind(history)
        .bind(revision)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(LOG)
        .bind(history)
        .bind(revision)
        .bind(DateTime::<Utc>::from(commit.at))
        .bind(commit.message())
        .bind(commit.actor.kind.as_str())
        .bind(&*commit.actor.id)
        .bind(commit.source.kind())
        .bind(commit.source.file())
        .bind(commit.reason.as_deref())
        .bind(commit.id.to_string())
        .bind(from.correlation_id.as_deref())
        .bind(from.trace_id())
        .bind(from.address.map(|address| address.to_string()))
        .bind(from.agent.as_deref())
        .execute(&mut *transaction)
        .await?;
    sqlx::query(KEEP)
        .bind(history)
        .bind(revision)
        .bind(commit.to_payload())
        .execute(transaction)
        .await
        .map(drop)
}

/// Writes down what a run of a commit changes. Before it is applied to the other tables.
pub(super) async fn changes(
    transaction: &mut PgConnection,
    recorded: &Recorded,
    run: &Run<'_>,
) -> Result<(), sqlx::Error> {
    let changes = run.changes.iter();
    let rows: Vec<_> = changes
        .map(|(ordinal, change)| Row {
            ordinal: *ordinal,
            kind: change.entity.kind(),
            entity: change.entity.id(),
            action: change.action.as_str(),
            after: change.after.as_ref(),
        })
        .collect();
    sqlx::query(CHANGES)
        .bind(bigint(recorded.commit.generation)?)
        .bind(bigint(recorded.revision)?)
        .bind(Json(rows))
        .execute(transaction)
        .await
        .map(drop)
}

//! The projection `config`: the configuration as it is now, one row per route, upstream, key and settings, and all that was
//! ever done to it.
//!
//! The same fold as the one that nodes route by, in SQL: what comes to be replaces what is there, and what is not there
//! cannot be missed. A commit may have a hundred thousand events, so they are applied many at once ([`run`]).

mod audit;
mod projector;
mod row;
mod run;

use chrono::{DateTime, Utc};
use flexgate_schemas::{audit::Action, commit::Recorded};
use sqlx::{PgConnection, types::Json};
use tokio::time::Instant;

use self::run::{Kind, Run};
use crate::{
    Pace,
    catalog::{Projection, Settling, Stream, Table},
    checkpoint::bigint,
};

pub use projector::ConfigProjector;

/// Never changes: the checkpoint is kept under it.
pub(crate) const NAME: &str = "config";
/// One more whenever the same events make other rows: then they are made anew.
const VERSION: i32 = 2;

/// The audit log outlives histories: what a log that was begun anew does not have is older than it.
pub(crate) static PROJECTION: Projection = Projection {
    name: NAME,
    about: "the configuration as it is now, and who changed what",
    stream: Stream::Config,
    version: VERSION,
    tables: &[
        Table::whole("routes", &["id"]),
        Table::whole("upstreams", &["name"]),
        Table::whole("api_keys", &["id"]),
        Table::whole("settings", &["id"]),
        Table::whole("audit_log", &["stream", "history", "sequence"])
            .own("l.stream = 'CONFIG'")
            .older("NOT EXISTS (SELECT FROM audit_log b WHERE b.history = l.history AND b.sequence <= l.sequence)"),
        Table::whole("audit_changes", &["history", "revision", "ordinal"]).older(
            "NOT EXISTS (SELECT FROM audit_commits b WHERE b.history = l.history AND b.revision <= l.revision)",
        ),
        Table::whole("audit_commits", &["history", "revision"]).older(
            "NOT EXISTS (SELECT FROM audit_commits b WHERE b.history = l.history AND b.revision <= l.revision)",
        ),
    ],
    settling: Settling::Rows,
};

pub(crate) fn statements() -> impl Iterator<Item = &'static str> {
    let puts = [PUT_ROUTES, PUT_UPSTREAMS, PUT_KEYS, PUT_SETTINGS];
    let deletions = [DELETE_ROUTES, DELETE_UPSTREAMS, DELETE_KEYS];
    puts.into_iter()
        .chain(deletions)
        .chain(CLEAR)
        .chain(audit::STATEMENTS)
}

/// The rows, the revision, when they were created (null where they keep that), and when they were changed.
const PUT_ROUTES: &str = "
    INSERT INTO routes AS held
        (id, name, enabled, priority, host, path, methods, upstream, value, revision, created_at, updated_at)
    SELECT id, name, enabled, priority, host, path, methods, upstream, value, $2, coalesce($3::timestamptz, $4), $4
    FROM jsonb_to_recordset($1) AS r(id text, name text, enabled boolean, priority integer, host text, path text,
        methods text[], upstream text, value jsonb)
    ON CONFLICT (id) DO UPDATE SET
        name = EXCLUDED.name, enabled = EXCLUDED.enabled, priority = EXCLUDED.priority, host = EXCLUDED.host,
        path = EXCLUDED.path, methods = EXCLUDED.methods, upstream = EXCLUDED.upstream, value = EXCLUDED.value,
        revision = EXCLUDED.revision, created_at = coalesce($3, held.created_at), updated_at = EXCLUDED.updated_at";
const DELETE_ROUTES: &str = "DELETE FROM routes WHERE id = ANY($1)";

const PUT_UPSTREAMS: &str = "
    INSERT INTO upstreams AS held (name, targets, value, revision, created_at, updated_at)
    SELECT name, targets, value, $2, coalesce($3::timestamptz, $4), $4
    FROM jsonb_to_recordset($1) AS r(name text, targets text[], value jsonb)
    ON CONFLICT (name) DO UPDATE SET
        targets = EXCLUDED.targets, value = EXCLUDED.value, revision = EXCLUDED.revision,
        created_at = coalesce($3, held.created_at), updated_at = EXCLUDED.updated_at";
const DELETE_UPSTREAMS: &str = "DELETE FROM upstreams WHERE name = ANY($1)";

const PUT_KEYS: &str = "
    INSERT INTO api_keys AS held
        (id, name, enabled, expires_at, revoked_at, value, revision, created_at, updated_at)
    SELECT id, name, enabled, expires_at, revoked_at, value, $2, coalesce($3::timestamptz, $4), $4
    FROM jsonb_to_recordset($1) AS r(id text, name text, enabled boolean, expires_at timestamptz,
        revoked_at timestamptz, value jsonb)
    ON CONFLICT (id) DO UPDATE SET
        name = EXCLUDED.name, enabled = EXCLUDED.enabled, expires_at = EXCLUDED.expires_at,
        revoked_at = EXCLUDED.revoked_at, value = EXCLUDED.value, revision = EXCLUDED.revision,
        created_at = coalesce($3, held.created_at), updated_at = EXCLUDED.updated_at";
const DELETE_KEYS: &str = "DELETE FROM api_keys WHERE id = ANY($1)";

/// There is one, which is created by its first change.
const PUT_SETTINGS: &str = "
    INSERT INTO settings AS held (id, value, revision, created_at, updated_at)
    SELECT id, value, $2, coalesce($3::timestamptz, $4), $4
    FROM jsonb_to_recordset($1) AS r(id text, value jsonb)
    ON CONFLICT (id) DO UPDATE SET
        value = EXCLUDED.value, revision = EXCLUDED.revision, updated_at = EXCLUDED.updated_at";

/// Not TRUNCATE, which would make readers wait.
const CLEAR: [&str; 4] = [
    "DELETE FROM routes",
    "DELETE FROM upstreams",
    "DELETE FROM api_keys",
    "DELETE FROM settings",
];

/// Takes what is there now away: a history begins. What was done before stays in the audit log.
async fn clear(transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
    for statement in CLEAR {
        sqlx::query(statement).execute(&mut *transaction).await?;
    }
    Ok(())
}

/// Applies what happened in a commit. One may have a hundred thousand events, so it is rested in between.
async fn apply(transaction: &mut PgConnection, recorded: &Recorded, pace: Pace) -> Result<(), sqlx::Error> {
    audit::log(transaction, recorded).await?;
    for run in run::runs(&recorded.commit.events) {
        let began = Instant::now();
        // What was there before is told before it is replaced.
        audit::changes(transaction, recorded, &run).await?;
        match run.action {
            Action::Created | Action::Updated => put(transaction, recorded, &run).await?,
            Action::Deleted => delete(transaction, &run).await?,
        }
        pace.rest(began.elapsed()).await;
    }
    Ok(())
}

async fn put(transaction: &mut PgConnection, recorded: &Recorded, run: &Run<'_>) -> Result<(), sqlx::Error> {
    let statement = match run.kind {
        Kind::Route => PUT_ROUTES,
        Kind::Upstream => PUT_UPSTREAMS,
        Kind::Key => PUT_KEYS,
        Kind::Settings => PUT_SETTINGS,
    };
    let at = DateTime::<Utc>::from(recorded.commit.at);
    sqlx::query(statement)
        .bind(Json(row::rows(run)))
        .bind(bigint(recorded.revision)?)
        .bind((run.action == Action::Created).then_some(at))
        .bind(at)
        .execute(transaction)
        .await
        .map(drop)
}

async fn delete(transaction: &mut PgConnection, run: &Run<'_>) -> Result<(), sqlx::Error> {
    let statement = match run.kind {
        Kind::Route => DELETE_ROUTES,
        Kind::Upstream => DELETE_UPSTREAMS,
        Kind::Key => DELETE_KEYS,
        Kind::Settings => return Ok(()), // they are never deleted
    };
    let ids: Vec<_> = run.changes.iter().map(|(_, change)| change.entity.id()).collect();
    sqlx::query(statement)
        .bind(ids)
        .execute(transaction)
        .await
        .map(drop)
}

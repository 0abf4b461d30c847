//! The projection `config`: the configuration as it is now, one row per route, upstream, key and settings, and all that was
//! ever done to it.
//!
//! The same fold as the one that nodes route by, in SQL: what comes to be replaces what is there, and what is not there
//! cannot be missed.

mod audit;
mod projector;

use flexgate_schemas::{
    ApiKey, Event, Route, Settings, Timestamp, Upstream, commit::Recorded, host::HostPattern, route::Name,
};
use sqlx::{
    PgConnection,
    types::{
        Json,
        chrono::{DateTime, Utc},
    },
};

use crate::checkpoint::bigint;

pub use projector::ConfigProjector;

/// Never changes: the checkpoint is kept under it.
pub(crate) const NAME: &str = "config";
/// One more whenever the same events make other rows: then they are made anew.
const VERSION: i32 = 2;
/// The id of the only settings that there are.
const SETTINGS: &str = "global";

pub(crate) fn statements() -> impl Iterator<Item = &'static str> {
    let puts = [PUT_ROUTE, PUT_UPSTREAM, PUT_KEY, PUT_SETTINGS];
    let deletions = [DELETE_ROUTE, DELETE_UPSTREAM, DELETE_KEY];
    puts.into_iter()
        .chain(deletions)
        .chain(CLEAR)
        .chain(audit::STATEMENTS)
}

/// The last but one parameter is null where the row keeps its `created_at`.
const PUT_ROUTE: &str = "
    INSERT INTO flexgate.routes AS held
        (id, name, enabled, priority, host, path, methods, upstream, value, revision, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, coalesce($11::timestamptz, $12), $12)
    ON CONFLICT (id) DO UPDATE SET
        name = EXCLUDED.name, enabled = EXCLUDED.enabled, priority = EXCLUDED.priority, host = EXCLUDED.host,
        path = EXCLUDED.path, methods = EXCLUDED.methods, upstream = EXCLUDED.upstream, value = EXCLUDED.value,
        revision = EXCLUDED.revision, created_at = coalesce($11, held.created_at), updated_at = EXCLUDED.updated_at";
const DELETE_ROUTE: &str = "DELETE FROM flexgate.routes WHERE id = $1";

const PUT_UPSTREAM: &str = "
    INSERT INTO flexgate.upstreams AS held (name, targets, value, revision, created_at, updated_at)
    VALUES ($1, $2, $3, $4, coalesce($5::timestamptz, $6), $6)
    ON CONFLICT (name) DO UPDATE SET
        targets = EXCLUDED.targets, value = EXCLUDED.value, revision = EXCLUDED.revision,
        created_at = coalesce($5, held.created_at), updated_at = EXCLUDED.updated_at";
const DELETE_UPSTREAM: &str = "DELETE FROM flexgate.upstreams WHERE name = $1";

const PUT_KEY: &str = "
    INSERT INTO flexgate.api_keys AS held
        (id, name, enabled, expires_at, revoked_at, value, revision, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, coalesce($8::timestamptz, $9), $9)
    ON CONFLICT (id) DO UPDATE SET
        name = EXCLUDED.name, enabled = EXCLUDED.enabled, expires_at = EXCLUDED.expires_at,
        revoked_at = EXCLUDED.revoked_at, value = EXCLUDED.value, revision = EXCLUDED.revision,
        created_at = coalesce($8, held.created_at), updated_at = EXCLUDED.updated_at";
const DELETE_KEY: &str = "DELETE FROM flexgate.api_keys WHERE id = $1";

const PUT_SETTINGS: &str = "
    INSERT INTO flexgate.settings AS held (id, value, revision, created_at, updated_at)
    VALUES ($4, $1, $2, $3, $3)
    ON CONFLICT (id) DO UPDATE SET
        value = EXCLUDED.value, revision = EXCLUDED.revision, updated_at = EXCLUDED.updated_at";

/// Not TRUNCATE, which would make readers wait.
const CLEAR: [&str; 4] = [
    "DELETE FROM flexgate.routes",
    "DELETE FROM flexgate.upstreams",
    "DELETE FROM flexgate.api_keys",
    "DELETE FROM flexgate.settings",
];

/// When an entity got its value, and where it stands in the log.
struct Stamp {
    revision: i64,
    /// `None` for an update.
    created_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
}

/// Takes what is there now away: a history begins. What was done before stays in the audit log.
async fn clear(transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
    for statement in CLEAR {
        sqlx::query(statement).execute(&mut *transaction).await?;
    }
    Ok(())
}

/// Applies what happened in a commit.
async fn apply(transaction: &mut PgConnection, recorded: &Recorded) -> Result<(), sqlx::Error> {
    let (revision, at) = (bigint(recorded.revision)?, recorded.commit.at);
    let (created, updated) = (Stamp::created(revision, at), Stamp::updated(revision, at));
    let transaction = &mut *transaction;
    audit::log(transaction, recorded).await?;
    for (ordinal, event) in recorded.commit.events.iter().enumerate() {
        audit::change(transaction, recorded, ordinal).await?;
        match event {
            Event::HistoryStarted(_) | Event::LogFenced(_) | Event::FileApplied(_) => {}
            Event::RouteCreated(route) => put_route(transaction, route, &created).await?,
            Event::RouteUpdated(route) => put_route(transaction, route, &updated).await?,
            Event::RouteDeleted(gone) => delete(transaction, DELETE_ROUTE, gone.id.as_str()).await?,
            Event::UpstreamCreated(upstream) => put_upstream(transaction, upstream, &created).await?,
            Event::UpstreamUpdated(upstream) => put_upstream(transaction, upstream, &updated).await?,
            Event::UpstreamDeleted(gone) => delete(transaction, DELETE_UPSTREAM, gone.name.as_str()).await?,
            Event::KeyCreated(key) => put_key(transaction, key, &created).await?,
            Event::KeyUpdated(key) => put_key(transaction, key, &updated).await?,
            Event::KeyDeleted(gone) => delete(transaction, DELETE_KEY, &gone.id.to_string()).await?,
            Event::SettingsUpdated(settings) => put_settings(transaction, settings, &updated).await?,
        }
    }
    Ok(())
}

async fn put_route(transaction: &mut PgConnection, route: &Route, stamp: &Stamp) -> Result<(), sqlx::Error> {
    let methods: Vec<String> = route.methods.iter().map(|method| method.to_string()).collect();
    sqlx::query(PUT_ROUTE)
        .bind(route.id.as_str())
        .bind(route.name.as_ref().map(Name::as_str))
        .bind(route.enabled)
        .bind(route.priority.get())
        .bind(route.host.as_ref().map(HostPattern::to_string))
        .bind(route.path.to_string())
        .bind(methods)
        .bind(route.upstream.to_string())
        .bind(Json(route))
        .bind(stamp.revision)
        .bind(stamp.created_at)
        .bind(stamp.updated_at)
        .execute(transaction)
        .await
        .map(drop)
}

async fn put_upstream(
    transaction: &mut PgConnection,
    upstream: &Upstream,
    stamp: &Stamp,
) -> Result<(), sqlx::Error> {
    let targets = upstream.targets.as_slice().iter();
    let urls: Vec<String> = targets.map(|target| target.url.to_string()).collect();
    sqlx::query(PUT_UPSTREAM)
        .bind(upstream.name.as_str())
        .bind(urls)
        .bind(Json(upstream))
        .bind(stamp.revision)
        .bind(stamp.created_at)
        .bind(stamp.updated_at)
        .execute(transaction)
        .await
        .map(drop)
}

async fn put_key(transaction: &mut PgConnection, key: &ApiKey, stamp: &Stamp) -> Result<(), sqlx::Error> {
    let own = key.particulars();
    sqlx::query(PUT_KEY)
        .bind(key.id.to_string())
        .bind(key.name.as_str())
        .bind(key.enabled)
        .bind(own.expires_at.map(DateTime::<Utc>::from))
        .bind(own.revoked_at.map(DateTime::<Utc>::from))
        .bind(Json(key.told()))
        .bind(stamp.revision)
        .bind(stamp.created_at)
        .bind(stamp.updated_at)
        .execute(transaction)
        .await
        .map(drop)
}

async fn put_settings(
    transaction: &mut PgConnection,
    settings: &Settings,
    stamp: &Stamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(PUT_SETTINGS)
        .bind(Json(settings))
        .bind(stamp.revision)
        .bind(stamp.updated_at)
        .bind(SETTINGS)
        .execute(transaction)
        .await
        .map(drop)
}

async fn delete(
    transaction: &mut PgConnection,
    statement: &'static str,
    id: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(statement)
        .bind(id)
        .execute(transaction)
        .await
        .map(drop)
}

impl Stamp {
    fn created(revision: i64, at: Timestamp) -> Self {
        Self {
            created_at: Some(at.into()),
            ..Self::updated(revision, at)
        }
    }

    fn updated(revision: i64, at: Timestamp) -> Self {
        Self {
            revision,
            created_at: None,
            updated_at: at.into(),
        }
    }
}

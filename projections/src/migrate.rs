//! Connecting to the database, and bringing its tables to what this build writes.

use std::{borrow::Cow, fmt, time::Duration};

use sqlx::{
    Connection as _, PgConnection, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
    postgres::PgConnectOptions,
};
use tokio::time::timeout;

use crate::Error;

/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long the migrations may take, with the wait for another process that is running them.
const MIGRATE_WITHIN: Duration = Duration::from_mins(10);

/// Where the tables are that are read.
pub(crate) const SCHEMA: &str = "flexgate";

/// The files in `migrations/`, in order. Forward only: one that was released is never edited.
const MIGRATIONS: [(i64, &str, &str); 7] = [
    (
        1,
        "configuration",
        include_str!("../../migrations/0001_configuration.sql"),
    ),
    (2, "outcomes", include_str!("../../migrations/0002_outcomes.sql")),
    (3, "audit", include_str!("../../migrations/0003_audit.sql")),
    (
        4,
        "analytics",
        include_str!("../../migrations/0004_analytics.sql"),
    ),
    (5, "alerts", include_str!("../../migrations/0005_alerts.sql")),
    (6, "rebuilds", include_str!("../../migrations/0006_rebuilds.sql")),
    (7, "origins", include_str!("../../migrations/0007_origins.sql")),
];

/// Connects.
pub async fn open(url: &str) -> Result<PgConnection, Error> {
    open_in(url, SCHEMA).await
}

/// Connects to the tables of a schema. Statements that change tables name none, so that the same ones fill the tables that
/// are read and those that are made anew beside them.
pub(crate) async fn open_in(url: &str, schema: &str) -> Result<PgConnection, Error> {
    // What the parser says may repeat the password.
    let unreadable = |_| sqlx::Error::Configuration("its URL cannot be read".into());
    let options: PgConnectOptions = url.parse().map_err(unreadable)?;
    let options = options
        .application_name("flexgate")
        .options([("search_path", schema)]);
    let connecting = PgConnection::connect_with(&options);
    Ok(timeout(CONNECT_WITHIN, connecting).await.map_err(late)??)
}

/// Connects, and runs the migrations that are missing. Processes that start together take turns.
pub async fn connect(url: &str) -> Result<PgConnection, Error> {
    let mut connection = open(url).await?;
    timeout(
        MIGRATE_WITHIN,
        migrator().run_direct(None, &mut connection, false),
    )
    .await
    .map_err(late)??;
    Ok(connection)
}

/// A migration that has run, named like its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran(String);

impl fmt::Display for Ran {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// As [`connect`], for who wants to know which migrations were missing, in order. Another process that ran them at the
/// same moment goes unnoticed: they were missing.
pub async fn migrate(url: &str) -> Result<Vec<Ran>, Error> {
    let mut connection = open(url).await?;
    let before = timeout(CONNECT_WITHIN, applied(&mut connection))
        .await
        .map_err(late)??;
    connection.close().await?;
    connect(url).await?.close().await?;
    let missing = MIGRATIONS
        .iter()
        .filter(|(version, ..)| !before.contains(version));
    Ok(missing
        .map(|(version, name, _)| Ran(format!("{version:04}_{name}")))
        .collect())
}

/// The versions that were run before, if any ever was.
async fn applied(connection: &mut PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    let any: bool = sqlx::query_scalar("SELECT to_regclass('flexgate.migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !any {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("SELECT version FROM flexgate.migrations WHERE success")
        .fetch_all(connection)
        .await
}

/// An answer that did not come in time, as the driver reports one that it waited for itself.
pub(crate) fn late(_: tokio::time::error::Elapsed) -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.map(|(version, name, sql)| {
        let name = Cow::Borrowed(name);
        Migration::new(version, name, MigrationType::Simple, sql.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.into());
    // What was run is remembered beside the tables: whoever drops the schema gets all of it again.
    migrator.create_schema("flexgate");
    migrator.dangerous_set_table_name("flexgate.migrations");
    migrator
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_is_embedded() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let embedded = MIGRATIONS.map(|(version, name, _)| format!("{version:04}_{name}.sql"));
        assert_eq!(files, embedded);
    }
}

//! The tables that are filled beside those that are read.

use sqlx::{AssertSqlSafe, PgConnection};

use super::execute;
use crate::{
    Error,
    catalog::{Kind, Projection, Settling, Table},
    migrate::SCHEMA,
    outcomes::carrying,
};

/// What every build has beside its own tables.
const BESIDE: [&str; 2] = ["projection_checkpoint", "carried_over"];

const IS_THERE: &str = "SELECT to_regnamespace($1) IS NOT NULL";

/// The columns that a row is given; the others follow from them.
const COLUMNS: &str = "
    SELECT attname::text FROM pg_attribute
    WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum";

/// Whether something is left of a build, or being built.
pub(super) async fn is_there(connection: &mut PgConnection, projection: &Projection) -> Result<bool, Error> {
    let there = sqlx::query_scalar(IS_THERE)
        .bind(projection.building())
        .fetch_one(connection)
        .await?;
    Ok(there)
}

/// Makes the tables, empty. Statements that are sent together are one transaction.
pub(super) async fn make(connection: &mut PgConnection, projection: &Projection) -> Result<(), Error> {
    let building = projection.building();
    let mut making = vec![format!("CREATE SCHEMA {building}")];
    let own = projection.tables.iter().map(|table| (table.name, table.kind));
    for (table, kind) in own.chain(BESIDE.map(|table| (table, Kind::Memory))) {
        let by = if kind == Kind::Partitions {
            " PARTITION BY RANGE (at)"
        } else {
            ""
        };
        making.push(format!(
            "CREATE TABLE {building}.{table} (LIKE {SCHEMA}.{table} INCLUDING ALL){by}"
        ));
    }
    if projection.settling == Settling::Outcomes {
        making.push(carrying::memory(&building));
    }
    execute(connection, making.join(";")).await?;
    Ok(())
}

/// Throws everything away that was made.
pub(super) async fn drop(connection: &mut PgConnection, projection: &Projection) -> Result<(), Error> {
    let dropping = format!(
        "SET client_min_messages = warning; DROP SCHEMA IF EXISTS {} CASCADE",
        projection.building()
    );
    execute(connection, dropping).await?;
    Ok(())
}

/// Takes over from the tables that are read what is older than the stream, and marks it.
pub(super) async fn carry_over(
    connection: &mut PgConnection,
    projection: &Projection,
) -> Result<(), sqlx::Error> {
    for table in projection.tables {
        let (Some(older), name) = (table.older, table.name) else {
            continue;
        };
        let columns = columns(connection, table).await?.join(", ");
        let older = format!("({}) AND {older}", table.own);
        let mark = format!(
            "INSERT INTO carried_over (projection, relation, begins_at, ends_at)
             SELECT '{}', '{name}', min(at), max(at) + interval '1 microsecond'
             FROM {SCHEMA}.{name} l WHERE {older} HAVING count(*) > 0",
            projection.name
        );
        if columns.split(", ").any(|column| column == "at") {
            execute(connection, mark).await?;
        }
        let carry =
            format!("INSERT INTO {name} ({columns}) SELECT {columns} FROM {SCHEMA}.{name} l WHERE {older}");
        execute(connection, carry).await?;
    }
    Ok(())
}

/// The columns of a table that are written.
pub(super) async fn columns(
    connection: &mut PgConnection,
    table: &Table,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(AssertSqlSafe(COLUMNS))
        .bind(format!("{SCHEMA}.{}", table.name))
        .fetch_all(connection)
        .await
}

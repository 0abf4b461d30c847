//! The schema: it explains itself, and takes every statement.

use sqlx::{Connection as _, Executor as _, PgConnection, SqlSafeStr as _};

use super::query;
use crate::fixtures::Postgres;

#[tokio::test]
async fn every_table_and_every_column_has_a_comment() {
    let url = Postgres::database().await;
    let columns =
        "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'flexgate'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')";
    let silent = format!(
        "SELECT c.relname || '.' || a.attname {columns}
         AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)"
    );
    assert!(
        query(&url, &format!("SELECT a.attname::text {columns}"))
            .await
            .len()
            > 30
    );
    assert_eq!(query(&url, &silent).await, [] as [String; 0]);
}

#[tokio::test]
async fn every_function_and_every_type_has_a_comment() {
    let url = Postgres::database().await;
    // Of the types only what is made by name: a table brings its own.
    let made = "FROM (
            SELECT oid, 'pg_proc' AS catalog, proname AS name FROM pg_proc WHERE pronamespace = 'flexgate'::regnamespace
            UNION ALL SELECT oid, 'pg_type', typname FROM pg_type
            WHERE typnamespace = 'flexgate'::regnamespace AND typtype IN ('d', 'e', 'r')
        ) made";
    assert!(query(&url, &format!("SELECT name::text {made}")).await.len() > 4);
    let silent = format!("SELECT name::text {made} WHERE obj_description(oid, catalog) IS NULL");
    assert_eq!(query(&url, &silent).await, [] as [String; 0]);
}

#[tokio::test]
async fn a_migrated_database_takes_every_statement() {
    let url = Postgres::database().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection.execute("SET search_path TO flexgate").await.unwrap();
    for statement in flexgate_projections::statements() {
        let prepared = connection.prepare(statement.into_sql_str()).await;
        assert!(prepared.is_ok(), "{prepared:?}: {statement}");
    }
}

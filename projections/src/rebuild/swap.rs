//! Giving the tables that are read what was made anew, as part of one transaction.
//!
//! Views, functions and grants are about the tables that are there, so that those stay and only what is in them changes:
//! rows that differ, which are few when all was well, and whole partitions.

use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::time::{Instant, sleep};

use super::{Pace, building, execute};
use crate::{
    Error,
    catalog::{Kind, Projection, Table},
    migrate::SCHEMA,
    outcomes::carrying,
    partitions::{self, LOCK_NOT_AVAILABLE},
};

/// Whoever projected finds that another one has taken over, and begins here.
const MOVE: &str = "
    UPDATE flexgate.projection_checkpoint l
    SET version = b.version, cluster = b.cluster, generation = b.generation, sequence = b.sequence, chain = b.chain,
        stream_created = b.stream_created, epoch = l.epoch + 1, updated_at = now()
    FROM {building}.projection_checkpoint b WHERE l.projection = b.projection";

const MARK: &str = "
    DELETE FROM flexgate.carried_over WHERE projection = '{projection}';
    INSERT INTO flexgate.carried_over SELECT * FROM {building}.carried_over";

/// The partitions of which that is known.
const BOUND: &str = "
    SELECT relname::text FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
    WHERE conname = 'bounds' AND pg_class.relnamespace = current_schema()::regnamespace";

/// A vacuum that runs by itself gives way to this after a second, in which nobody else waits, and none begins any more.
const KEEP_VACUUMS_OUT: &str = "
    SET LOCAL lock_timeout = '30s';
    LOCK TABLE flexgate.requests, {building}.requests IN SHARE UPDATE EXCLUSIVE MODE;
    SET LOCAL lock_timeout = 0";

/// Whoever comes while this waits for the lock waits behind it, so it does not wait for long, and is tried again.
const LOCK_PARTITIONS: &str = "
    SET LOCAL lock_timeout = '100ms'; LOCK TABLE flexgate.requests IN ACCESS EXCLUSIVE MODE; SET LOCAL lock_timeout = 0";
/// How often, at most.
const LOCK_TRIES: usize = 100;
/// The pause in between, in which readers come.
const LOCK_PAUSE: Duration = Duration::from_millis(500);

/// Everything but the end of the transaction.
pub(super) async fn swap(
    held: &mut PgConnection,
    building: &mut PgConnection,
    projection: &Projection,
) -> Result<(), Error> {
    let schema = projection.building();
    held.execute("SET LOCAL work_mem = '64MB'; SET LOCAL timezone = 'UTC'")
        .await?;
    for table in projection.tables {
        if table.kind != Kind::Partitions {
            merge(held, &schema, table).await?;
        }
    }
    let by_name = |statement: &str| {
        statement
            .replace("{building}", &schema)
            .replace("{projection}", projection.name)
    };
    execute(held, by_name(MARK)).await?;
    execute(held, by_name(MOVE)).await?;
    if projection
        .tables
        .iter()
        .any(|table| table.kind == Kind::Partitions)
    {
        swap_partitions(held, building, &schema).await?;
    }
    building::drop(held, projection).await
}

/// Takes out what is not in the other table, and puts in what is only there.
async fn merge(held: &mut PgConnection, schema: &str, table: &Table) -> Result<(), Error> {
    let columns = building::columns(held, table).await?.join(", ");
    let (name, own) = (table.name, table.own);
    // As whole rows they are equal where both are null, and are hashed.
    let out = format!(
        "DELETE FROM {SCHEMA}.{name} l WHERE {own} AND NOT EXISTS (SELECT FROM {schema}.{name} b WHERE b = l)"
    );
    execute(held, out).await?;
    let into = format!(
        "INSERT INTO {SCHEMA}.{name} ({columns}) SELECT {columns} FROM {schema}.{name} b
         WHERE NOT EXISTS (SELECT FROM {SCHEMA}.{name} l WHERE {own} AND l = b)"
    );
    execute(held, into).await?;
    Ok(())
}

/// What is known to be within its bounds is not looked through when a partition takes its place, while everybody waits.
pub(super) async fn bound_partitions(building: &mut PgConnection, pace: Pace) -> Result<(), Error> {
    let bound: Vec<String> = sqlx::query_scalar(BOUND).fetch_all(&mut *building).await?;
    for (partition, _) in partitions::sizes(building).await? {
        if bound.contains(&partition.to_string()) {
            continue;
        }
        let (begin, end) = (partition.begin().to_rfc3339(), partition.end().to_rfc3339());
        let check =
            format!("ALTER TABLE {partition} ADD CONSTRAINT bounds CHECK (at >= '{begin}' AND at < '{end}')");
        let began = Instant::now();
        execute(building, check).await?;
        pace.rest(began.elapsed()).await;
    }
    Ok(())
}

/// The partitions that were made anew take the place of those in whose time they are.
async fn swap_partitions(
    held: &mut PgConnection,
    building: &mut PgConnection,
    schema: &str,
) -> Result<(), Error> {
    bound_partitions(building, Pace::FULL).await?;
    let anew = partitions::sizes(building).await?;
    execute(held, KEEP_VACUUMS_OUT.replace("{building}", schema)).await?;
    lock_partitions(held).await?;
    for gone in carrying::replaced(held, schema).await? {
        execute(held, format!("DROP TABLE {SCHEMA}.{gone}")).await?;
    }
    for (partition, _) in &anew {
        let (begin, end) = (partition.begin().to_rfc3339(), partition.end().to_rfc3339());
        let moving = format!(
            "ALTER TABLE {schema}.requests DETACH PARTITION {schema}.{partition};
             ALTER TABLE {schema}.{partition} SET SCHEMA {SCHEMA};
             ALTER TABLE {SCHEMA}.requests ATTACH PARTITION {SCHEMA}.{partition} FOR VALUES FROM ('{begin}') TO ('{end}');
             ALTER TABLE {SCHEMA}.{partition} DROP CONSTRAINT bounds"
        );
        execute(held, moving).await?;
    }
    Ok(())
}

async fn lock_partitions(held: &mut PgConnection) -> Result<(), Error> {
    let mut tries = 0;
    loop {
        let mut attempt = held.begin().await?; // a savepoint
        match attempt.execute(LOCK_PARTITIONS).await {
            Ok(_) => return Ok(attempt.commit().await?),
            Err(sqlx::Error::Database(error))
                if error.code().as_deref() == Some(LOCK_NOT_AVAILABLE) && tries < LOCK_TRIES =>
            {
                attempt.rollback().await?;
                tries += 1;
                sleep(LOCK_PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

//! Whether the tables that were made anew are those that are read.
//!
//! A table's hash is one of sums of hashes of rows, so that it does not depend on their order, or on when they were written.

use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tokio::time::Instant;

use super::{Pace, building};
use crate::{
    Error,
    catalog::{Kind, Projection, Table},
    migrate::SCHEMA,
    outcomes::carrying,
    partitions,
};

/// How many rows that differ are named of each table.
const NAMED_MAX: usize = 10;

/// One moment of all tables: whoever projects may go on.
const SNAPSHOT: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'; SET LOCAL bytea_output = 'hex'; SET LOCAL work_mem = '64MB';
    LOCK TABLE requests IN ACCESS SHARE MODE;
    SELECT FROM projection_checkpoint";

/// Of several processors, one is enough for who leaves some to others.
const ALONE: &str = "SET LOCAL max_parallel_workers_per_gather = 0";

/// Of parts: how many rows each has, and the sums of both halves of their hashes.
const HASH: &str = "
    SELECT coalesce(sum(rows), 0)::bigint,
        encode(sha256(convert_to(concat_ws(' ', coalesce(sum(rows), 0), sum(one), sum(other)), 'UTF8')), 'hex')
    FROM unnest($1::bigint[], $2::text[]::numeric[], $3::text[]::numeric[]) AS part (rows, one, other)";

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Each table that people read.
    pub tables: Vec<Compared>,
}

/// A table, as it is read and as it was made anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Its name.
    pub table: String,
    /// As it is read.
    pub live: Side,
    /// As it was made anew.
    pub rebuilt: Side,
    /// Some of the rows that differ, at most ten.
    pub differences: Vec<Difference>,
}

/// What is in a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// How many rows.
    pub rows: u64,
    /// A hash of their content, in hexadecimal: equal contents, equal hashes.
    pub hash: String,
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The columns by which it is found.
    pub key: String,
    /// Where it is.
    pub only_in: Whose,
}

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// Only in the table that is read.
    Live,
    /// Only in the one that was made anew.
    Rebuilt,
    /// In both, with other content.
    Both,
}

impl Comparison {
    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.tables.iter().all(Compared::is_same)
    }
}

impl Compared {
    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.live == self.rebuilt
    }
}

/// Looks at the tables as they are now, and goes on to.
pub(super) async fn snapshot(connection: &mut PgConnection) -> Result<&mut PgConnection, Error> {
    connection.execute(SNAPSHOT).await?;
    Ok(connection)
}

/// Compares every table that people read.
pub(super) async fn compare(
    snapshot: &mut PgConnection,
    projection: &Projection,
    pace: Pace,
) -> Result<Comparison, Error> {
    if !pace.is_full() {
        snapshot.execute(ALONE).await?;
    }
    let mut tables = Vec::new();
    let contents = projection.tables.iter();
    for table in contents.filter(|table| table.kind != Kind::Memory) {
        tables.push(compare_one(snapshot, projection, table, pace).await?);
    }
    Ok(Comparison { tables })
}

async fn compare_one(
    snapshot: &mut PgConnection,
    projection: &Projection,
    table: &Table,
    pace: Pace,
) -> Result<Compared, Error> {
    let columns = building::columns(snapshot, table).await?;
    let columns: Vec<_> = columns
        .iter()
        .map(String::as_str)
        .filter(|column| !table.beside.contains(column))
        .collect();
    let columns = columns.join(", ");
    let (name, building) = (table.name, projection.building());
    let (mut live, mut anew) = (vec![], vec![]);
    if table.kind == Kind::Partitions {
        live = partitions::named_in(snapshot, SCHEMA, name).await?;
        anew = partitions::named_in(snapshot, &building, name).await?;
        let kept = carrying::kept(snapshot, &building).await?.into_iter();
        anew.extend(kept.map(|kept| format!("{SCHEMA}.{kept}")));
    } else {
        live.push(format!("{SCHEMA}.{name}"));
        anew.push(format!("{building}.{name}"));
    }
    let key: Vec<_> = table
        .key
        .iter()
        .map(|column| format!("coalesce({column}::text, '-')"))
        .collect();
    let hashed = |source: &str| {
        format!(
            "SELECT concat_ws(' ', {}) AS key, sha256(convert_to(ROW({columns})::text, 'UTF8')) AS hash
             FROM {source} l WHERE {}",
            key.join(", "),
            table.own
        )
    };
    let [live, anew] = [live, anew].map(|parts| parts.iter().map(|part| hashed(part)).collect::<Vec<_>>());
    let mut compared = Compared {
        table: name.to_owned(),
        live: side(snapshot, &live, pace).await?,
        rebuilt: side(snapshot, &anew, pace).await?,
        differences: Vec::new(),
    };
    if !compared.is_same() {
        compared.differences =
            differences(snapshot, &live.join(" UNION ALL "), &anew.join(" UNION ALL ")).await?;
    }
    Ok(compared)
}

/// Of a table in parts, of which each takes a while.
async fn side(snapshot: &mut PgConnection, parts: &[String], pace: Pace) -> Result<Side, sqlx::Error> {
    let half =
        |from: u8| format!("('x' || encode(substring(hash FROM {from} FOR 8), 'hex'))::bit(64)::bigint");
    let (mut rows, mut sums) = (Vec::new(), [Vec::new(), Vec::new()]);
    for hashed in parts {
        let began = Instant::now();
        let summing = format!(
            "SELECT count(*), sum({})::text, sum({})::text FROM ({hashed}) hashed",
            half(1),
            half(9)
        );
        let (count, one, other): (i64, Option<String>, Option<String>) =
            sqlx::query_as(AssertSqlSafe(summing))
                .fetch_one(&mut *snapshot)
                .await?;
        rows.push(count);
        sums[0].push(one);
        sums[1].push(other);
        pace.rest(began.elapsed()).await;
    }
    let [one, other] = sums;
    let (rows, hash): (i64, String) = sqlx::query_as(HASH)
        .bind(rows)
        .bind(one)
        .bind(other)
        .fetch_one(snapshot)
        .await?;
    Ok(Side {
        rows: rows.unsigned_abs(),
        hash,
    })
}

async fn differences(
    snapshot: &mut PgConnection,
    live: &str,
    anew: &str,
) -> Result<Vec<Difference>, sqlx::Error> {
    let asking = format!(
        "SELECT coalesce(l.key, b.key) AS key, l.key IS NOT NULL, b.key IS NOT NULL
         FROM ({live}) l FULL JOIN ({anew}) b ON b.key = l.key
         WHERE l.hash IS DISTINCT FROM b.hash ORDER BY 1 LIMIT {NAMED_MAX}"
    );
    let found: Vec<(String, bool, bool)> = sqlx::query_as(AssertSqlSafe(asking)).fetch_all(snapshot).await?;
    let named = found.into_iter().map(|(key, is_live, is_rebuilt)| Difference {
        key,
        only_in: match (is_live, is_rebuilt) {
            (true, false) => Whose::Live,
            (false, true) => Whose::Rebuilt,
            _ => Whose::Both,
        },
    });
    Ok(named.collect())
}

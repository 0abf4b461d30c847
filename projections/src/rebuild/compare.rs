//! Whether the tables that were made anew are those that are read.
//!
//! A table's hash is one of sums of hashes of rows, so that it does not depend on their order, or on when they were written.

use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use super::building;
use crate::{
    Error,
    catalog::{Kind, Projection, Table},
    migrate::SCHEMA,
    outcomes::carrying,
};

/// How many rows that differ are named of each table.
const NAMED_MAX: usize = 10;

/// One moment of all tables: whoever projects may go on.
const SNAPSHOT: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'; SET LOCAL bytea_output = 'hex'; SET LOCAL work_mem = '64MB';
    LOCK TABLE requests IN ACCESS SHARE MODE;
    SELECT FROM projection_checkpoint";

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
) -> Result<Comparison, Error> {
    let mut tables = Vec::new();
    let contents = projection.tables.iter();
    for table in contents.filter(|table| table.kind != Kind::Memory) {
        tables.push(compare_one(snapshot, projection, table).await?);
    }
    Ok(Comparison { tables })
}

async fn compare_one(
    snapshot: &mut PgConnection,
    projection: &Projection,
    table: &Table,
) -> Result<Compared, Error> {
    let columns = building::columns(snapshot, table).await?;
    let columns: Vec<_> = columns
        .iter()
        .map(String::as_str)
        .filter(|column| !table.beside.contains(column))
        .collect();
    let columns = columns.join(", ");
    let (name, building) = (table.name, projection.building());
    let mut anew = vec![format!("SELECT * FROM {building}.{name}")];
    if table.kind == Kind::Partitions {
        for kept in carrying::kept(snapshot, &building).await? {
            anew.push(format!("SELECT * FROM {SCHEMA}.{kept}"));
        }
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
    let (live, anew) = (
        hashed(&format!("{SCHEMA}.{name}")),
        hashed(&format!("({})", anew.join(" UNION ALL "))),
    );
    let mut compared = Compared {
        table: name.to_owned(),
        live: side(snapshot, &live).await?,
        rebuilt: side(snapshot, &anew).await?,
        differences: Vec::new(),
    };
    if !compared.is_same() {
        compared.differences = differences(snapshot, &live, &anew).await?;
    }
    Ok(compared)
}

async fn side(snapshot: &mut PgConnection, hashed: &str) -> Result<Side, sqlx::Error> {
    let half =
        |from: u8| format!("('x' || encode(substring(hash FROM {from} FOR 8), 'hex'))::bit(64)::bigint");
    let summing = format!(
        "SELECT count(*), encode(sha256(convert_to(concat_ws(' ', count(*), sum({}), sum({})), 'UTF8')), 'hex')
         FROM ({hashed}) hashed",
        half(1),
        half(9)
    );
    let (rows, hash): (i64, String) = sqlx::query_as(AssertSqlSafe(summing)).fetch_one(snapshot).await?;
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

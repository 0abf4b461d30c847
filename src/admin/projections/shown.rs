//! Projections and dead letters, as the API shows them.

use flexgate_projections::{Comparison, DeadLetterEntry, Projection, ProjectionEntry, Whose};
use flexgate_schemas::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// A projection: a read model, and how far it is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Projection")]
pub(super) struct Report {
    /// Its name.
    name: &'static str,
    /// What its tables hold.
    about: &'static str,
    /// The stream that it reads, without the prefix.
    stream: &'static str,
    /// How it is.
    status: Status,
    /// Why it has stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The node that keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    /// The sequence of the last message that was applied; 0 before the first.
    position: u64,
    /// How many messages it has yet to apply; of the configuration at most so many. Absent if nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lag_messages: Option<u64>,
    /// How many seconds ago it had applied everything; 0 if it has now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<f64>,
    /// How many messages it applies a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    per_second: Option<f64>,
    /// How many messages it has put aside.
    dead_letters: u64,
    /// The last time that it was made anew, or compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rebuild: Option<Rebuilt>,
}

/// How a projection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ProjectionStatus")]
enum Status {
    /// It follows its stream.
    Running,
    /// It stands still until somebody does something.
    Stopped,
    /// It is being made anew, or compared; meanwhile it goes on as it was.
    Rebuilding,
    /// Nobody keeps it now.
    Idle,
}

/// A time that a projection was made anew, or compared.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schemars(rename = "Rebuild")]
struct Rebuilt {
    /// Which time.
    id: String,
    /// Whether it was only compared.
    verify: bool,
    /// Who asked for it.
    actor: String,
    /// The node that does it.
    node: String,
    /// `reading`, `comparing`, `swapping`, `done` or `failed`.
    phase: String,
    /// How much of the stream it has read, in sequences.
    done: u64,
    /// How much it has to read.
    total: u64,
    /// How many sequences it has read a second.
    per_second: f64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What a comparison came to.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "compared"
    )]
    result: Option<Compared>,
    /// When it began.
    started_at: String,
    /// When it last said how far it is.
    reported_at: String,
}

/// What a comparison came to.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Comparison")]
struct Compared {
    /// Whether nothing differs.
    same: bool,
    /// Each table.
    tables: Vec<Table>,
}

/// A table, as it is and as it was made anew.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ComparedTable")]
struct Table {
    /// Its name.
    name: String,
    /// Whether nothing differs.
    same: bool,
    /// How many rows there are.
    rows: u64,
    /// A hash of their content.
    hash: String,
    /// How many rows were made anew.
    rebuilt_rows: u64,
    /// A hash of their content.
    rebuilt_hash: String,
    /// Some that differ.
    differences: Vec<Row>,
}

/// A row that differs.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ComparedRow")]
struct Row {
    /// The columns by which it is found.
    key: String,
    /// Whether it is only `live`, only `rebuilt`, or in `both` with other content.
    is_in: &'static str,
}

/// A message that could not be applied.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "DeadLetter")]
pub(super) struct Letter {
    /// Its id.
    id: String,
    /// Its sequence in the stream.
    sequence: u64,
    /// When it was stored there.
    stored_at: Timestamp,
    /// When it was put aside.
    noticed_at: Timestamp,
    /// Why.
    error: String,
    /// How many bytes it has.
    bytes: u32,
}

impl Report {
    pub(super) fn of(projection: &'static Projection, entry: ProjectionEntry) -> Self {
        let rebuild: Option<Rebuilt> = entry
            .rebuild
            .and_then(|rebuild| serde_json::from_value(rebuild).ok());
        let status = if rebuild.as_ref().is_some_and(Rebuilt::goes_on) {
            Status::Rebuilding
        } else if entry.stopped_because.is_some() {
            Status::Stopped
        } else if entry.node.is_some() {
            Status::Running
        } else {
            Status::Idle
        };
        Self {
            name: projection.name,
            about: projection.about,
            stream: projection.stream.name(),
            status,
            reason: entry.stopped_because,
            node: entry.node,
            position: entry.position.unwrap_or_default().unsigned_abs(),
            lag_messages: entry.waiting.map(i64::unsigned_abs),
            lag_seconds: entry.lag_seconds,
            per_second: entry.per_second,
            dead_letters: entry.dead_letters.unsigned_abs(),
            rebuild,
        }
    }

    /// Who makes it anew, since when and where, if somebody does.
    pub(super) fn rebuilt_by(self) -> Option<String> {
        let rebuild = self.rebuild.filter(Rebuilt::goes_on)?;
        Some(format!(
            "by {} on {} since {}",
            rebuild.actor, rebuild.node, rebuild.started_at
        ))
    }
}

impl Rebuilt {
    fn goes_on(&self) -> bool {
        !matches!(&*self.phase, "done" | "failed")
    }
}

/// As the tables have it.
fn compared<'de, D: Deserializer<'de>>(stored: D) -> Result<Option<Compared>, D::Error> {
    Ok(Option::<Comparison>::deserialize(stored)?.map(Compared::from))
}

impl From<Comparison> for Compared {
    fn from(comparison: Comparison) -> Self {
        let same = comparison.is_same();
        let tables = comparison.tables.into_iter().map(|table| Table {
            same: table.is_same(),
            name: table.table,
            rows: table.live.rows,
            hash: table.live.hash,
            rebuilt_rows: table.rebuilt.rows,
            rebuilt_hash: table.rebuilt.hash,
            differences: table
                .differences
                .into_iter()
                .map(|difference| Row {
                    key: difference.key,
                    is_in: match difference.only_in {
                        Whose::Live => "live",
                        Whose::Rebuilt => "rebuilt",
                        Whose::Both => "both",
                    },
                })
                .collect(),
        });
        Self {
            same,
            tables: tables.collect(),
        }
    }
}

impl From<DeadLetterEntry> for Letter {
    fn from(entry: DeadLetterEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            sequence: entry.sequence.unsigned_abs(),
            stored_at: entry.stored_at.into(),
            noticed_at: entry.noticed_at.into(),
            error: entry.error,
            bytes: entry.bytes.unsigned_abs(),
        }
    }
}

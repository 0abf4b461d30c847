//! What can happen to the configuration. Each event carries the full new value of what it is about.

use std::{fmt, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::{ApiKey, CommitId, KeyId, Route, RouteId, Settings, Upstream, UpstreamId, file::FileApplied};

/// One event of a commit. The written form is `{"type": ..., "data": ...}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// A history begins; the first event of a genesis commit and of no other.
    #[serde(rename = "io.flexgate.history.started.v1")]
    HistoryStarted(HistoryStarted),
    /// A commit whose fate was unknown can no longer land.
    #[serde(rename = "io.flexgate.log.fenced.v1")]
    LogFenced(LogFenced),
    /// A route came to be.
    #[serde(rename = "io.flexgate.route.created.v1")]
    RouteCreated(Arc<Route>),
    /// A route has a new value.
    #[serde(rename = "io.flexgate.route.updated.v1")]
    RouteUpdated(Arc<Route>),
    /// A route is gone.
    #[serde(rename = "io.flexgate.route.deleted.v1")]
    RouteDeleted(RouteDeleted),
    /// An upstream came to be.
    #[serde(rename = "io.flexgate.upstream.created.v1")]
    UpstreamCreated(Arc<Upstream>),
    /// An upstream has a new value.
    #[serde(rename = "io.flexgate.upstream.updated.v1")]
    UpstreamUpdated(Arc<Upstream>),
    /// An upstream is gone.
    #[serde(rename = "io.flexgate.upstream.deleted.v1")]
    UpstreamDeleted(UpstreamDeleted),
    /// The global settings have a new value.
    #[serde(rename = "io.flexgate.settings.updated.v1")]
    SettingsUpdated(Arc<Settings>),
    /// An API key came to be.
    #[serde(rename = "io.flexgate.key.created.v1")]
    KeyCreated(Arc<ApiKey>),
    /// An API key has a new value, perhaps another secret.
    #[serde(rename = "io.flexgate.key.updated.v1")]
    KeyUpdated(Arc<ApiKey>),
    /// An API key is gone.
    #[serde(rename = "io.flexgate.key.deleted.v1")]
    KeyDeleted(KeyDeleted),
    /// A file was applied: some of what is there is its own.
    #[serde(rename = "io.flexgate.file.applied.v1")]
    FileApplied(Arc<FileApplied>),
}

/// The data of `history.started.v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HistoryStarted {
    /// Why: `first start`, or what the operator gave for a fork or a compaction.
    pub reason: String,
}

/// The data of `log.fenced.v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogFenced {
    /// The commit that was given up.
    pub commit: CommitId,
}

/// The data of `route.deleted.v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteDeleted {
    /// Which.
    pub id: RouteId,
}

/// The data of `upstream.deleted.v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamDeleted {
    /// Which.
    pub name: UpstreamId,
}

/// The data of `key.deleted.v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyDeleted {
    /// Which.
    pub id: KeyId,
}

/// What an event is about: the kind and id of its subject `flexgate.config.<kind>.<id>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// The log itself.
    Log,
    /// A route.
    Route(RouteId),
    /// An upstream.
    Upstream(UpstreamId),
    /// The global settings.
    Settings,
    /// An API key.
    Key(KeyId),
}

impl Entity {
    /// One word: `route`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Route(_) => "route",
            Self::Upstream(_) => "upstream",
            Self::Settings => "settings",
            Self::Key(_) => "key",
        }
    }

    /// Which of its kind; of what there is only one, `global`.
    pub fn id(&self) -> String {
        match self {
            Self::Log | Self::Settings => "global".to_owned(),
            Self::Route(id) => id.to_string(),
            Self::Upstream(name) => name.to_string(),
            Self::Key(id) => id.to_string(),
        }
    }
}

/// As a sentence names it: `route "users"`.
impl fmt::Display for Entity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log => out.write_str("the log"),
            Self::Route(id) => write!(out, "route {id:?}"),
            Self::Upstream(name) => write!(out, "upstream {name:?}"),
            Self::Settings => out.write_str("the settings"),
            Self::Key(id) => write!(out, "key {id:?}"),
        }
    }
}

/// Makes the JSON Schema of one event's data.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Every event type that is written today, with the schema of its data. A test holds this list equal to [`Event`].
pub const TYPES: [(&str, SchemaOf); 13] = [
    (
        "io.flexgate.history.started.v1",
        SchemaGenerator::subschema_for::<HistoryStarted>,
    ),
    (
        "io.flexgate.log.fenced.v1",
        SchemaGenerator::subschema_for::<LogFenced>,
    ),
    (
        "io.flexgate.route.created.v1",
        SchemaGenerator::subschema_for::<Route>,
    ),
    (
        "io.flexgate.route.updated.v1",
        SchemaGenerator::subschema_for::<Route>,
    ),
    (
        "io.flexgate.route.deleted.v1",
        SchemaGenerator::subschema_for::<RouteDeleted>,
    ),
    (
        "io.flexgate.upstream.created.v1",
        SchemaGenerator::subschema_for::<Upstream>,
    ),
    (
        "io.flexgate.upstream.updated.v1",
        SchemaGenerator::subschema_for::<Upstream>,
    ),
    (
        "io.flexgate.upstream.deleted.v1",
        SchemaGenerator::subschema_for::<UpstreamDeleted>,
    ),
    (
        "io.flexgate.settings.updated.v1",
        SchemaGenerator::subschema_for::<Settings>,
    ),
    (
        "io.flexgate.key.created.v1",
        SchemaGenerator::subschema_for::<ApiKey>,
    ),
    (
        "io.flexgate.key.updated.v1",
        SchemaGenerator::subschema_for::<ApiKey>,
    ),
    (
        "io.flexgate.key.deleted.v1",
        SchemaGenerator::subschema_for::<KeyDeleted>,
    ),
    (
        "io.flexgate.file.applied.v1",
        SchemaGenerator::subschema_for::<FileApplied>,
    ),
];

/// One of all of them.
impl JsonSchema for Event {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Event".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let events = TYPES.map(|(name, data)| {
            let data = data(generator);
            schemars::json_schema!({
                "title": name,
                "type": "object",
                "required": ["type", "data"],
                "properties": { "type": { "const": name }, "data": data },
                "additionalProperties": false,
            })
        });
        schemars::json_schema!({ "oneOf": events })
    }
}

impl Event {
    /// The CloudEvents type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::HistoryStarted(_) => TYPES[0].0,
            Self::LogFenced(_) => TYPES[1].0,
            Self::RouteCreated(_) => TYPES[2].0,
            Self::RouteUpdated(_) => TYPES[3].0,
            Self::RouteDeleted(_) => TYPES[4].0,
            Self::UpstreamCreated(_) => TYPES[5].0,
            Self::UpstreamUpdated(_) => TYPES[6].0,
            Self::UpstreamDeleted(_) => TYPES[7].0,
            Self::SettingsUpdated(_) => TYPES[8].0,
            Self::KeyCreated(_) => TYPES[9].0,
            Self::KeyUpdated(_) => TYPES[10].0,
            Self::KeyDeleted(_) => TYPES[11].0,
            Self::FileApplied(_) => TYPES[12].0,
        }
    }

    /// What it is about.
    pub fn entity(&self) -> Entity {
        match self {
            Self::HistoryStarted(_) | Self::LogFenced(_) | Self::FileApplied(_) => Entity::Log,
            Self::RouteCreated(route) | Self::RouteUpdated(route) => Entity::Route(route.id.clone()),
            Self::RouteDeleted(deleted) => Entity::Route(deleted.id.clone()),
            Self::UpstreamCreated(upstream) | Self::UpstreamUpdated(upstream) => {
                Entity::Upstream(upstream.name.clone())
            }
            Self::UpstreamDeleted(deleted) => Entity::Upstream(deleted.name.clone()),
            Self::SettingsUpdated(_) => Entity::Settings,
            Self::KeyCreated(key) | Self::KeyUpdated(key) => Entity::Key(key.id),
            Self::KeyDeleted(deleted) => Entity::Key(deleted.id),
        }
    }

    /// The lowest schema level that can read it.
    pub fn reader_level(&self) -> u32 {
        match self {
            Self::HistoryStarted(_)
            | Self::LogFenced(_)
            | Self::RouteDeleted(_)
            | Self::UpstreamDeleted(_) => 1,
            Self::RouteCreated(route) | Self::RouteUpdated(route) => route.reader_level(),
            Self::UpstreamCreated(upstream) | Self::UpstreamUpdated(upstream) => upstream.reader_level(),
            Self::SettingsUpdated(settings) => settings.reader_level(),
            Self::KeyCreated(_) | Self::KeyUpdated(_) | Self::KeyDeleted(_) | Self::FileApplied(_) => 4,
        }
    }
}

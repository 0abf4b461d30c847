//! Commits: one message on CONFIG, one or more events that take effect together.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    Chain, ClusterId, CommitId, Event, Provenance, READER_LEVEL, Timestamp,
    event::Entity,
    parts::{PartError, PartRef},
    upcast::{self, EventError},
};

/// The schema level of a commit that names parts.
pub const PARTS_LEVEL: u32 = 5;

/// Who, when, why and what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    /// Chosen by the writer, the same for every retry of one append.
    pub id: CommitId,
    /// Whose configuration this is.
    pub cluster: ClusterId,
    /// Which history of it.
    pub generation: u64,
    /// The chain of the commit before; zeros for a genesis.
    pub parent: Chain,
    /// The lowest schema level that can read it. First looked at, so it never moves or changes its type.
    pub reader_level: u32,
    /// Who asked.
    pub actor: Actor,
    /// Through what.
    pub source: Source,
    /// Why, if they said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    /// When it was decided, by the writer's clock.
    pub at: Timestamp,
    /// The caller's key for this request, so that a repetition is recognised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
    /// From where it was asked for, and by which request; nothing for what FlexGate does by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Box<Provenance>>,
    /// Where the events are, if they are too many for the commit itself, which then has none in its written form.
    #[serde(skip_serializing_if = "<[PartRef]>::is_empty")]
    #[schemars(default)]
    pub parts: Arc<[PartRef]>,
    /// What happened, in order; also what lies in parts.
    pub events: Arc<[Event]>,
}

/// A commit as it lies in the log.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its revision: the stream sequence.
    pub revision: u64,
    /// The chain up to and with it.
    pub chain: Chain,
    /// What it says.
    pub commit: Arc<Commit>,
}

/// Who asked for a change.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Actor {
    /// How they proved who they are.
    #[serde(rename = "type")]
    pub kind: ActorKind,
    /// Who: the name of a token, or of a process.
    pub id: Box<str>,
}

impl Actor {
    /// FlexGate itself.
    pub fn system() -> Self {
        Self {
            kind: ActorKind::System,
            id: "flexgate".into(),
        }
    }
}

/// How an actor proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ActorKind {
    /// A bearer token of the admin API.
    Token,
    /// FlexGate itself.
    System,
}

impl ActorKind {
    /// One word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::System => "system",
        }
    }
}

/// Through what a change came.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "type", content = "name", deny_unknown_fields)]
pub enum Source {
    /// The admin API.
    Api,
    /// A configuration file, by name.
    File(Box<str>),
    /// FlexGate's own doing: genesis, fences.
    System,
}

impl Source {
    /// One word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::File(_) => "file",
            Self::System => "system",
        }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::File(name) => Some(name),
            Self::Api | Self::System => None,
        }
    }
}

/// A caller's `Idempotency-Key`, and what it was used for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Idempotency {
    /// The key, as sent.
    pub key: Box<str>,
    /// SHA-256 of method, target and body, in hex; stretched, where the body has a password.
    pub request_hash: Box<str>,
}

/// Why a message on CONFIG cannot be read as a commit. Each of them freezes the reader.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It asks for a newer reader.
    #[error("the commit needs schema level {needed}, this node reads up to {READER_LEVEL}: upgrade it")]
    Level {
        /// The level it needs.
        needed: u32,
    },
    /// It is not a commit at all, or has fields that this build does not know.
    #[error("the message is not a commit: {0}")]
    Syntax(String),
    /// One of its events cannot be read.
    #[error(transparent)]
    Event(#[from] EventError),
    /// One of its parts is not what it says.
    #[error(transparent)]
    Part(#[from] PartError),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Level {
    reader_level: u32,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    parts: Vec<PartRef>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawCommit<'a> {
    id: CommitId,
    cluster: ClusterId,
    generation: u64,
    parent: Chain,
    reader_level: u32,
    actor: Actor,
    source: Source,
    #[serde(default)]
    reason: Option<Box<str>>,
    at: Timestamp,
    #[serde(default)]
    idempotency: Option<Idempotency>,
    #[serde(default)]
    provenance: Option<Box<Provenance>>,
    #[serde(default)]
    parts: Vec<PartRef>,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

impl Commit {
    /// What FlexGate does by itself, at a place in the log: the cluster, the generation and the chain so far.
    pub fn by_system(id: CommitId, place: (ClusterId, u64, Chain), at: Timestamp, event: Event) -> Self {
        let (cluster, generation, parent) = place;
        Self {
            id,
            cluster,
            generation,
            parent,
            reader_level: event.reader_level(),
            actor: Actor::system(),
            source: Source::System,
            reason: None,
            at,
            idempotency: None,
            provenance: None,
            parts: Arc::default(),
            events: Arc::new([event]),
        }
    }

    /// The stored form. Its bytes are what the chain hashes.
    pub fn to_payload(&self) -> Vec<u8> {
        let written = if self.parts.is_empty() {
            serde_json::to_vec(self)
        } else {
            serde_json::to_vec(&self.without_events())
        };
        written.expect("a commit has string keys and finite numbers only")
    }

    /// What it says itself, without what lies in its parts.
    #[must_use]
    pub fn without_events(&self) -> Self {
        Self {
            events: Arc::default(),
            ..self.clone()
        }
    }

    /// Where the parts lie that it takes to read this stored form; nowhere, if it is whole, or no commit at all.
    pub fn parts_of(payload: &[u8]) -> Vec<PartRef> {
        // Nearly every commit is whole, and need not be read twice.
        let may_name_some = std::str::from_utf8(payload).is_ok_and(|text| text.contains("\"parts\":"));
        if !may_name_some {
            return Vec::new();
        }
        serde_json::from_slice(payload).map_or_else(|_| Vec::new(), |Named { parts }| parts)
    }

    /// Reads the stored form of a commit that has no parts.
    pub fn from_payload(payload: &[u8]) -> Result<Self, ReadError> {
        Self::from_payloads(payload, &[] as &[Option<&[u8]>])
    }

    /// Reads the stored form, with those of the parts that it names, in that order, as far as they are there. Whatever else
    /// is wrong with it, the level is what is told first.
    pub fn from_payloads(payload: &[u8], parts: &[Option<impl AsRef<[u8]>>]) -> Result<Self, ReadError> {
        let syntax = |error: serde_json::Error| ReadError::Syntax(error.to_string());
        let raw = serde_json::from_slice::<RawCommit<'_>>(payload).or_else(|error| {
            let Level { reader_level } = serde_json::from_slice(payload).map_err(syntax)?;
            readable(reader_level)?;
            Err(syntax(error))
        })?;
        readable(raw.reader_level)?;
        let events = if raw.parts.is_empty() {
            raw.events
                .into_iter()
                .map(upcast::read)
                .collect::<Result<_, _>>()?
        } else if raw.events.is_empty() {
            gathered(&raw.parts, parts)?
        } else {
            return Err(ReadError::Syntax("it has both events and parts".to_owned()));
        };
        Ok(Self {
            id: raw.id,
            cluster: raw.cluster,
            generation: raw.generation,
            parent: raw.parent,
            reader_level: raw.reader_level,
            actor: raw.actor,
            source: raw.source,
            reason: raw.reason,
            at: raw.at,
            idempotency: raw.idempotency,
            provenance: raw.provenance,
            parts: raw.parts.into(),
            events,
        })
    }

    /// Whether a history begins here.
    pub fn is_genesis(&self) -> bool {
        self.parent == Chain::ZERO && matches!(self.events.first(), Some(Event::HistoryStarted(_)))
    }

    /// The part of its subject after `<prefix>.config.`: the one entity it is about, or `changeset`, or `log`.
    pub fn subject(&self) -> String {
        let mut entities = self.events.iter().map(Event::entity);
        let first = entities.next();
        if first.is_some() && entities.any(|entity| Some(entity) != first) {
            return format!("changeset.{}", self.id);
        }
        match first {
            Some(Entity::Route(id)) => format!("route.{id}"),
            Some(Entity::Upstream(name)) => format!("upstream.{name}"),
            Some(Entity::Settings) => "settings.global".to_owned(),
            Some(Entity::Key(id)) => format!("key.{id}"),
            Some(Entity::Log) | None => format!("log.{}", self.id),
        }
    }
}

fn readable(needed: u32) -> Result<(), ReadError> {
    if needed > READER_LEVEL {
        return Err(ReadError::Level { needed });
    }
    Ok(())
}

fn gathered(named: &[PartRef], parts: &[Option<impl AsRef<[u8]>>]) -> Result<Arc<[Event]>, PartError> {
    let mut events = Vec::new();
    for (number, part) in named.iter().enumerate() {
        let payload = parts.get(number).and_then(|part| Some(part.as_ref()?.as_ref()));
        events.append(&mut part.read(number, payload)?);
    }
    Ok(events.into())
}

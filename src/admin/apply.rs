//! `/api/config/apply`: many changes as one commit; what `flexgate apply FILE` sends.

use axum::{extract::State, response::Response};
use flexgate_schemas::{Event, Route, Settings, Upstream, commit::Source, event::Entity, key::GivenKey};
use http::{StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Shared,
    error::Error,
    operation::{Operation, Resource},
    precondition::Precondition,
    write::Write,
};
use crate::{
    domain::{Command, KnownKey, Refusal},
    journal::{Committed, TransactError},
};

/// The most bytes of a body: a hundred thousand routes and more.
const BODY_MAX: usize = 64 * 1024 * 1024;

/// The one thing that can be done with a whole configuration.
pub(super) fn resources() -> [Resource<Shared>; 1] {
    [Resource::at("/api/config/apply", "Configuration").post(
        apply,
        Operation::new("applyConfig", "Create and update many entities as one commit")
            .details(
                "Creates what is missing and updates what differs, all of it or nothing. What is not listed stays. \
                 Preconditions are refused: there is no one entity that they could be about.",
            )
            .commits::<Configuration, Applied>(),
    )]
}

/// A configuration, or a part of one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Configuration {
    /// The name of the file it was read from, for the log.
    #[serde(default)]
    file: Option<Box<str>>,
    /// Upstreams, each once.
    #[serde(default)]
    upstreams: Vec<Upstream>,
    /// Routes, each once, with their ids.
    #[serde(default)]
    routes: Vec<Route>,
    /// The settings, if they are to be set.
    #[serde(default)]
    settings: Option<Settings>,
    /// Keys whose secrets are known elsewhere, each once.
    #[serde(default)]
    keys: Vec<GivenKey>,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Applied {
    /// The history.
    generation: u64,
    /// The revision that carries it; the current one when there was nothing to do.
    revision: u64,
    /// What was changed, in the order of the log.
    changes: Vec<Change>,
}

/// One change.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Change {
    /// Its event's type: `io.flexgate.route.created.v1`.
    #[serde(rename = "type")]
    event: &'static str,
    /// The id or name of what was changed; absent for the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

async fn apply(State(admin): State<Shared>, write: Write<BODY_MAX>) -> Result<Response, Error> {
    if !matches!(write.precondition, Precondition::None) {
        return Err(Error::Header {
            name: header::IF_MATCH,
            expected: "left out here, like `If-None-Match`",
        });
    }
    let configuration: Configuration = write.body.value()?;
    let source = configuration.file.clone().map_or(Source::Api, Source::File);
    let command = Command::Apply {
        upstreams: configuration.upstreams.clone(),
        routes: configuration.routes.clone(),
        settings: configuration.settings.clone(),
        keys: configuration.keys.iter().map(KnownKey::from).collect(),
    };
    let committed = write
        .transact(&admin, command, None, source)
        .await
        .map_err(|error| configuration.located(error))?;
    Ok(write
        .answer_with(&admin, &committed, StatusCode::OK, Applied::of(&committed))
        .await)
}

impl Configuration {
    /// Points at the item that made the whole of it fail.
    fn located(&self, error: Error) -> Error {
        let Error::Transact(TransactError::Refused(Refusal::Item { item, refusal })) = error else {
            return error;
        };
        let list = match &item {
            Entity::Route(id) => place("/routes", self.routes.iter().position(|route| route.id == *id)),
            Entity::Upstream(name) => place(
                "/upstreams",
                self.upstreams.iter().position(|own| own.name == *name),
            ),
            Entity::Settings => "/settings".to_owned(),
            Entity::Key(id) => place("/keys", self.keys.iter().position(|own| own.id() == *id)),
            Entity::Log => String::new(),
        };
        let pointer = format!("{list}{}", refusal.pointer().unwrap_or_default());
        Error::Item {
            pointer,
            refusal: Refusal::Item { item, refusal },
        }
    }
}

fn place(list: &str, position: Option<usize>) -> String {
    position.map_or_else(|| list.to_owned(), |position| format!("{list}/{position}"))
}

impl Applied {
    fn of(committed: &Committed) -> Self {
        Self {
            generation: committed.generation,
            revision: committed.revision,
            changes: committed.events.iter().map(Change::of).collect(),
        }
    }
}

impl Change {
    fn of(event: &Event) -> Self {
        let id = match event.entity() {
            Entity::Route(id) => Some(id.to_string()),
            Entity::Upstream(name) => Some(name.to_string()),
            Entity::Key(id) => Some(id.to_string()),
            Entity::Settings | Entity::Log => None,
        };
        Self {
            event: event.type_name(),
            id,
        }
    }
}

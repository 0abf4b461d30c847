//! What a change of many entities comes to, or would come to.

use flexgate_schemas::{Event, event::Entity};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::{
    domain::{ConfigState, Decision, refusal::Conflict},
    journal::{Committed, View},
};

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Applied {
    /// The history.
    generation: u64,
    /// The revision that carries it; the current one when there was nothing to do, and of a dry run.
    revision: u64,
    /// What was changed, in the order of the log; of a dry run, what would be.
    changes: Vec<Change>,
    /// Of a dry run: why it would be refused unless it is forced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    conflicts: Vec<Objection>,
    /// Of a dry run: what is the file's own, and was changed or deleted by others since it was applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    drifted: Vec<Named>,
}

/// One change.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    /// Its event's type: `io.flexgate.route.created.v1`.
    #[serde(rename = "type")]
    event: &'static str,
    /// The id or name of what was changed; absent for the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Of a dry run and a comparison: what it is before, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Value>,
    /// Of a dry run and a comparison: what it is afterwards, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<Value>,
}

/// One entity.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Named {
    /// `route`, `upstream`, `key` or `settings`.
    kind: &'static str,
    /// Its id or name; absent for the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// One entity, and what is to be said about it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Objection {
    #[serde(flatten)]
    entity: Named,
    /// In words.
    detail: String,
}

impl Applied {
    pub(super) fn of(committed: &Committed) -> Self {
        let changes = committed.events.iter().filter_map(Change::of);
        Self {
            generation: committed.generation,
            revision: committed.revision,
            changes: changes.collect(),
            conflicts: Vec::new(),
            drifted: Vec::new(),
        }
    }

    pub(super) fn planned(
        view: &View,
        decision: &Decision,
        conflicts: &[Conflict],
        drifted: &[Entity],
    ) -> Self {
        let changes = decision.events.iter().filter_map(|event| {
            let change = Change::of(event)?;
            Some(Change {
                before: value_in(view.state(), &event.entity()),
                after: value_after(event),
                ..change
            })
        });
        let objection = |conflict: &Conflict| Objection {
            entity: Named::of(&conflict.entity),
            detail: conflict.to_string(),
        };
        Self {
            generation: view.generation(),
            revision: view.revision(),
            changes: changes.collect(),
            conflicts: conflicts.iter().map(objection).collect(),
            drifted: drifted.iter().map(Named::of).collect(),
        }
    }
}

impl Change {
    /// Nothing, for what is only about the log: what is whose own is no change of what is served.
    fn of(event: &Event) -> Option<Self> {
        let entity = event.entity();
        (entity != Entity::Log).then(|| Self {
            event: event.type_name(),
            id: Named::of(&entity).id,
            before: None,
            after: None,
        })
    }
}

impl Named {
    pub(super) fn of(entity: &Entity) -> Self {
        let (kind, id) = match entity {
            Entity::Route(id) => ("route", Some(id.to_string())),
            Entity::Upstream(name) => ("upstream", Some(name.to_string())),
            Entity::Key(id) => ("key", Some(id.to_string())),
            Entity::Settings => ("settings", None),
            Entity::Log => ("log", None),
        };
        Self { kind, id }
    }
}

fn value_in(state: &ConfigState, entity: &Entity) -> Option<Value> {
    match entity {
        Entity::Route(id) => state.route(id).map(|entry| json(&*entry.value)),
        Entity::Upstream(name) => state.upstream(name).map(|entry| json(&*entry.value)),
        Entity::Key(id) => state.key(id).map(|entry| json(&entry.value.terms())),
        Entity::Settings => Some(json(&*state.settings().value)),
        Entity::Log => None,
    }
}

fn value_after(event: &Event) -> Option<Value> {
    match event {
        Event::RouteCreated(route) | Event::RouteUpdated(route) => Some(json(&**route)),
        Event::UpstreamCreated(upstream) | Event::UpstreamUpdated(upstream) => Some(json(&**upstream)),
        Event::SettingsUpdated(settings) => Some(json(&**settings)),
        Event::KeyCreated(key) | Event::KeyUpdated(key) => Some(json(&key.terms())),
        Event::RouteDeleted(_)
        | Event::UpstreamDeleted(_)
        | Event::KeyDeleted(_)
        | Event::HistoryStarted(_)
        | Event::LogFenced(_)
        | Event::FileApplied(_) => None,
    }
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("an entity has string keys")
}

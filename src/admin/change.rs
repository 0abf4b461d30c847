//! What a change of many entities comes to, or would come to.

use flexgate_schemas::{Event, audit, event::Entity};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

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
    #[schemars(with = "Option<serde_json::Value>")]
    before: Option<Box<RawValue>>,
    /// Of a dry run and a comparison: what it is afterwards, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    after: Option<Box<RawValue>>,
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
    pub(super) fn of(event: &Event) -> Option<Self> {
        let entity = event.entity();
        (entity != Entity::Log).then(|| Self {
            event: event.type_name(),
            id: Named::of(&entity).id,
            before: None,
            after: None,
        })
    }
}

impl Change {
    /// What became of an entity between two states, if anything did.
    pub(super) fn between(before: &ConfigState, after: &ConfigState, entity: &Entity) -> Option<Self> {
        let (was, is) = (value_in(before, entity), value_in(after, entity));
        let verbs = match entity {
            Entity::Route(_) => [
                "io.flexgate.route.created.v1",
                "io.flexgate.route.updated.v1",
                "io.flexgate.route.deleted.v1",
            ],
            Entity::Upstream(_) => [
                "io.flexgate.upstream.created.v1",
                "io.flexgate.upstream.updated.v1",
                "io.flexgate.upstream.deleted.v1",
            ],
            Entity::Key(_) => [
                "io.flexgate.key.created.v1",
                "io.flexgate.key.updated.v1",
                "io.flexgate.key.deleted.v1",
            ],
            Entity::Settings | Entity::Log => ["io.flexgate.settings.updated.v1"; 3],
        };
        let event = match (&was, &is) {
            (None, Some(_)) => verbs[0],
            (Some(was), Some(is)) if was.get() != is.get() => verbs[1],
            (Some(_), None) => verbs[2],
            _ => return None,
        };
        Some(Self {
            event,
            id: Named::of(entity).id,
            before: was,
            after: is,
        })
    }
}

impl Named {
    pub(super) fn of(entity: &Entity) -> Self {
        let id = match entity {
            Entity::Settings | Entity::Log => None,
            Entity::Route(_) | Entity::Upstream(_) | Entity::Key(_) => Some(entity.id()),
        };
        Self {
            kind: entity.kind(),
            id,
        }
    }
}

fn value_in(state: &ConfigState, entity: &Entity) -> Option<Box<RawValue>> {
    match entity {
        Entity::Route(id) => state.route(id).map(|entry| json(&*entry.value)),
        Entity::Upstream(name) => state.upstream(name).map(|entry| json(&*entry.value)),
        Entity::Key(id) => state.key(id).map(|entry| json(&entry.value.told())),
        Entity::Settings => Some(json(&*state.settings().value)),
        Entity::Log => None,
    }
}

fn value_after(event: &Event) -> Option<Box<RawValue>> {
    let change = audit::Change::of(event)?;
    change.after.map(|after| json(&after))
}

/// As text: of a hundred thousand of them, trees of values would weigh several times as much.
fn json(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("an entity has string keys")
}

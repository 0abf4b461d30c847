//! What routes, upstreams and settings have in common when they are answered.

use std::sync::Arc;

use flexgate_schemas::{Event, Route, RouteId, Settings, Timestamp, Upstream, UpstreamId};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    domain::{ConfigState, Entry},
    journal::{Committed, View},
};

/// An entity as it is answered: its value, and its place in the history. Who sends the latter back changes nothing.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Stored{T}")]
pub(super) struct Stored<T> {
    #[serde(flatten)]
    pub(super) value: T,
    /// The last commit that changed it; 0 for settings that were never set.
    pub(super) revision: u64,
    /// When it came to be.
    pub(super) created_at: Timestamp,
    /// When it was last changed.
    pub(super) updated_at: Timestamp,
}

/// The fields that only answers have.
pub(super) const ANSWERED_ONLY: [&str; 5] = ["revision", "createdAt", "updatedAt", "warnings", "convergence"];

/// Takes out what only answers have, so that an answer can be edited and sent back.
pub(super) fn strip(fields: &mut Map<String, Value>) {
    fields.retain(|name, _| !ANSWERED_ONLY.contains(&&**name));
}

impl<V: Clone> Stored<V> {
    /// An entity of the state.
    pub(super) fn of(entry: &Entry<V>) -> Self {
        Self {
            value: entry.value.clone(),
            revision: entry.revision,
            created_at: entry.created_at,
            updated_at: entry.updated_at,
        }
    }
}

impl<T> Stored<T> {
    /// The same, shown in another way.
    pub(super) fn map<U>(self, show: impl FnOnce(T) -> U) -> Stored<U> {
        let Self {
            value,
            revision,
            created_at,
            updated_at,
        } = self;
        Stored {
            value: show(value),
            revision,
            created_at,
            updated_at,
        }
    }
}

/// Something that has an entry in the state, and events that carry its new value.
pub(super) trait Entity: Sized {
    /// What tells one from another.
    type Id;

    /// Its entry, if it exists.
    fn entry<'a>(state: &'a ConfigState, id: &Self::Id) -> Option<&'a Entry<Arc<Self>>>;

    /// Which one it is.
    fn id(&self) -> &Self::Id;

    /// The value that an event carries, and whether the event created it.
    fn carried(event: &Event) -> Option<(&Arc<Self>, bool)>;
}

impl Entity for Route {
    type Id = RouteId;

    fn entry<'a>(state: &'a ConfigState, id: &RouteId) -> Option<&'a Entry<Arc<Self>>> {
        state.route(id)
    }
    fn id(&self) -> &RouteId {
        &self.id
    }
    fn carried(event: &Event) -> Option<(&Arc<Self>, bool)> {
        match event {
            Event::RouteCreated(route) => Some((route, true)),
            Event::RouteUpdated(route) => Some((route, false)),
            _ => None,
        }
    }
}

impl Entity for Upstream {
    type Id = UpstreamId;

    fn entry<'a>(state: &'a ConfigState, name: &UpstreamId) -> Option<&'a Entry<Arc<Self>>> {
        state.upstream(name)
    }
    fn id(&self) -> &UpstreamId {
        &self.name
    }
    fn carried(event: &Event) -> Option<(&Arc<Self>, bool)> {
        match event {
            Event::UpstreamCreated(upstream) => Some((upstream, true)),
            Event::UpstreamUpdated(upstream) => Some((upstream, false)),
            _ => None,
        }
    }
}

impl Entity for Settings {
    type Id = ();

    fn entry<'a>(state: &'a ConfigState, (): &()) -> Option<&'a Entry<Arc<Self>>> {
        Some(state.settings())
    }
    fn id(&self) -> &() {
        &()
    }
    fn carried(event: &Event) -> Option<(&Arc<Self>, bool)> {
        match event {
            Event::SettingsUpdated(settings) => Some((settings, false)),
            _ => None,
        }
    }
}

/// What a write made of an entity.
pub(super) struct Outcome<T> {
    /// The entity.
    pub(super) stored: Stored<Arc<T>>,
    /// Whether it came to be.
    pub(super) created: bool,
}

impl<T: Entity> Outcome<T> {
    /// Taken from the event, so that the repetition of a request is answered like the request itself, whatever became
    /// of the entity since; from the state when there was nothing to do. `None` if it is gone from there again.
    pub(super) fn of(view: &View, committed: &Committed, id: &T::Id) -> Option<Self> {
        let Some((value, created)) = committed.events.iter().find_map(T::carried) else {
            return T::entry(view.state(), id).map(|entry| Self {
                stored: Stored::of(entry),
                created: false,
            });
        };
        let before = T::entry(view.state(), value.id()).filter(|_| !created);
        let stored = Stored {
            value: value.clone(),
            revision: committed.revision,
            created_at: before.map_or(committed.at, |entry| entry.created_at),
            updated_at: committed.at,
        };
        Some(Self { stored, created })
    }
}

//! The config state: the fold of all commits up to a revision.

use std::{
    borrow::Borrow,
    fmt,
    sync::{Arc, OnceLock},
};

use flexgate_schemas::{
    ApiKey, KeyId, Route, RouteId, Settings, Timestamp, Upstream, UpstreamId, event::Entity,
};
use serde::{Deserialize, Serialize};

use super::{Ownership, StateHash, indexes::Indexes, usernames::Usernames};
use crate::{egress::Guard, routing::Table};

/// The whole configuration, and what is derived from it. A clone shares everything with its original.
#[derive(Clone)]
pub struct ConfigState {
    routes: im::OrdMap<RouteId, Entry<Arc<Route>>>,
    upstreams: im::OrdMap<UpstreamId, Entry<Arc<Upstream>>>,
    settings: Entry<Arc<Settings>>,
    keys: Keys,
    ownership: Arc<Ownership>,
    indexes: Arc<OnceLock<Indexes>>,
    usernames: Usernames,
    guard: Arc<Guard>,
    hash: StateHash,
    /// That of the keys, apart.
    keys_hash: StateHash,
}

/// All API keys, by id. There may be a million of them, so an id is inline, and everything else of a key in one piece of memory:
/// a key costs some 170 bytes, and an edit copies a few hundred.
pub type Keys = im::OrdMap<KeyId, Arc<Entry<ApiKey>>>;

/// An entity, however it is held, and its place in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry<V> {
    /// What it is now.
    pub value: V,
    /// The last commit that changed it; 0 for settings that were never set.
    pub revision: u64,
    /// When it came to be.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl<V> Entry<V> {
    /// The entity itself, in the same place.
    pub fn seen<T>(&self) -> Entry<&T>
    where
        V: Borrow<T>,
    {
        Entry {
            value: self.value.borrow(),
            revision: self.revision,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

/// The commit that an event is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its revision.
    pub revision: u64,
    /// When it was decided, by its writer's clock.
    pub at: Timestamp,
}

impl ConfigState {
    /// All routes, by id.
    pub fn routes(&self) -> &im::OrdMap<RouteId, Entry<Arc<Route>>> {
        &self.routes
    }

    /// One route.
    pub fn route(&self, id: &RouteId) -> Option<&Entry<Arc<Route>>> {
        self.routes.get(id)
    }

    /// All upstreams, by name.
    pub fn upstreams(&self) -> &im::OrdMap<UpstreamId, Entry<Arc<Upstream>>> {
        &self.upstreams
    }

    /// One upstream.
    pub fn upstream(&self, name: &UpstreamId) -> Option<&Entry<Arc<Upstream>>> {
        self.upstreams.get(name)
    }

    /// The global settings; their defaults if they were never set.
    pub fn settings(&self) -> &Entry<Arc<Settings>> {
        &self.settings
    }

    /// All API keys, by id.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// One API key.
    pub fn key(&self, id: &KeyId) -> Option<&Entry<ApiKey>> {
        self.keys.get(id).map(|entry| &**entry)
    }

    /// What belongs to files.
    pub fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// Which key has which user name.
    pub fn usernames(&self) -> &Usernames {
        &self.usernames
    }

    /// The enabled routes, ready to be matched.
    pub fn table(&self) -> &Table<Arc<Route>> {
        &self.indexes().table
    }

    /// What decisions look up. The first to ask waits until it is made, which takes some microseconds a route.
    pub(super) fn indexes(&self) -> &Indexes {
        self.indexes.get_or_init(|| Indexes::of(&self.routes))
    }

    /// Makes ready what decisions look up, so that it is kept up to date from here on.
    pub fn get_ready_to_decide(&self) {
        self.indexes();
    }

    /// The same, if anybody has asked for it.
    fn made_indexes(&mut self) -> Option<&mut Indexes> {
        self.indexes.get()?;
        Arc::make_mut(&mut self.indexes).get_mut()
    }

    /// Where requests may go. Another one, by its address, as soon as anything about that changes.
    pub fn guard(&self) -> &Arc<Guard> {
        &self.guard
    }

    /// The hash of the content, without revisions and times.
    pub fn hash(&self) -> StateHash {
        self.hash.and(self.keys_hash)
    }

    /// Everything else, and the keys, to be written apart. See [`ConfigState::restore_key`].
    pub fn without_keys(&self) -> (Self, &Keys) {
        let rest = Self {
            keys: Keys::new(),
            usernames: Usernames::default(),
            keys_hash: StateHash::default(),
            ..self.clone()
        };
        (rest, &self.keys)
    }

    /// Puts back a key that was written apart.
    pub fn restore_key(&mut self, entry: Entry<ApiKey>) {
        self.put_key(entry);
    }

    /// The routes that name this upstream, by id.
    pub fn routes_using(&self, upstream: &UpstreamId) -> impl Iterator<Item = &RouteId> {
        self.indexes().usage.of(upstream)
    }

    /// Another route that matches exactly the same requests, also if one of them is disabled.
    pub(super) fn duplicate_of(&self, route: &Route) -> Option<&RouteId> {
        self.indexes().duplicate_of(route)
    }

    pub(super) fn put_route(&mut self, entry: Entry<Arc<Route>>) {
        let route = entry.value.clone();
        self.hash.add("route", route.id.as_str(), &*route);
        let old = self.routes.insert(route.id.clone(), entry);
        let old = old.as_ref().map(|old| &*old.value);
        if let Some(old) = old {
            self.hash.remove("route", old.id.as_str(), old);
        }
        if let Some(indexes) = self.made_indexes() {
            indexes.put(old, &route);
        }
    }

    pub(super) fn remove_route(&mut self, id: &RouteId) {
        let Some(old) = self.routes.remove(id) else {
            return;
        };
        self.hash.remove("route", id.as_str(), &*old.value);
        if let Some(indexes) = self.made_indexes() {
            indexes.remove(&old.value);
        }
    }

    pub(super) fn put_upstream(&mut self, entry: Entry<Arc<Upstream>>) {
        let upstream = entry.value.clone();
        let name = upstream.name.as_str();
        self.hash.add("upstream", name, &*upstream);
        let old = self.upstreams.insert(upstream.name.clone(), entry);
        let old = old.as_ref().map(|old| &*old.value);
        if let Some(old) = old {
            self.hash.remove("upstream", name, old);
        }
        if old.is_none_or(|old| old.targets != upstream.targets) {
            Arc::make_mut(&mut self.guard).set_named(old, Some(&upstream));
        }
    }

    pub(super) fn remove_upstream(&mut self, name: &UpstreamId) {
        if let Some(old) = self.upstreams.remove(name) {
            self.hash.remove("upstream", name.as_str(), &*old.value);
            Arc::make_mut(&mut self.guard).set_named(Some(&old.value), None);
        }
    }

    pub(super) fn put_settings(&mut self, entry: Entry<Arc<Settings>>) {
        let old = &self.settings.value;
        self.hash.remove("settings", "global", &**old);
        if old.security != entry.value.security {
            Arc::make_mut(&mut self.guard).set_lists(&entry.value.security);
        }
        self.settings = entry;
        self.hash.add("settings", "global", &*self.settings.value);
    }

    pub(super) fn put_key(&mut self, entry: Entry<ApiKey>) {
        let id = entry.value.id;
        let entry = Arc::new(entry);
        self.keys_hash.add("key", id.as_str(), &entry.value);
        let old = self.keys.insert(id, Arc::clone(&entry));
        if let Some(old) = &old {
            self.usernames.remove(&old.value);
        }
        self.usernames.add(&entry.value);
        if let Some(old) = old {
            self.keys_hash.remove("key", id.as_str(), &old.value);
        }
    }

    pub(super) fn own(&mut self, ownership: Ownership) {
        self.ownership = Arc::new(ownership);
    }

    pub(super) fn remove_key(&mut self, id: &KeyId) {
        if let Some(old) = self.keys.remove(id) {
            self.usernames.remove(&old.value);
            self.keys_hash.remove("key", id.as_str(), &old.value);
        }
    }
}

/// No route, no upstream, no key, default settings.
impl Default for ConfigState {
    fn default() -> Self {
        let settings = Settings::default();
        let mut hash = StateHash::default();
        hash.add("settings", "global", &settings);
        Self {
            routes: im::OrdMap::new(),
            upstreams: im::OrdMap::new(),
            settings: Entry {
                value: Arc::new(settings),
                revision: 0,
                created_at: Timestamp::default(),
                updated_at: Timestamp::default(),
            },
            keys: Keys::new(),
            ownership: Arc::default(),
            indexes: Arc::default(),
            usernames: Usernames::default(),
            guard: Arc::default(),
            hash,
            keys_hash: StateHash::default(),
        }
    }
}

/// Equal content with equal history; everything else follows from it.
impl PartialEq for ConfigState {
    fn eq(&self, other: &Self) -> bool {
        self.routes == other.routes
            && self.upstreams == other.upstreams
            && self.settings == other.settings
            && self.keys == other.keys
            && self.ownership == other.ownership
    }
}

impl Eq for ConfigState {}

impl fmt::Debug for ConfigState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ConfigState")
            .field("routes", &self.routes)
            .field("upstreams", &self.upstreams)
            .field("settings", &self.settings)
            .field("keys", &self.keys)
            .field("ownership", &self.ownership)
            .finish_non_exhaustive()
    }
}

/// What differs between a state and the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Perhaps everything.
    All,
    /// Only these, possibly several times.
    Entities(Vec<Entity>),
}

//! Which entities are a file's own, and what the file said of each when it was applied last.

mod written;

use std::{collections::BTreeMap, sync::Arc};

use flexgate_schemas::{
    ApiKey, FileDigest, FileName, KeyId, Route, RouteId, Settings, Upstream, UpstreamId,
    event::Entity,
    file::{Entities, FileApplied},
};
use serde::{Deserialize, Serialize};

pub(super) use written::Written;

use super::{ConfigState, Stamp, entity::Managed};

/// What files own. An entity has one owner at most; it stays a file's own while others change or even delete it, until
/// the file says no more of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ownership {
    pub(super) files: BTreeMap<FileName, Applied>,
    pub(super) upstreams: im::OrdMap<UpstreamId, Owned<Upstream>>,
    pub(super) routes: im::OrdMap<RouteId, Owned<Route>>,
    pub(super) keys: im::OrdMap<KeyId, Owned<ApiKey>>,
    pub(super) settings: Option<Owned<Settings>>,
}

/// When a file was applied last, and what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Applied {
    /// The commit that last applied it.
    pub revision: u64,
    /// What it said.
    pub digest: FileDigest,
}

/// An entity that is a file's own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Owned<T> {
    pub(super) by: Arc<FileName>,
    /// What the file said. Shared with the state for as long as nobody else changes the entity.
    pub(super) said: Arc<T>,
}

impl<T> Clone for Owned<T> {
    fn clone(&self) -> Self {
        Self {
            by: self.by.clone(),
            said: self.said.clone(),
        }
    }
}

impl Ownership {
    /// The files that were applied, by name.
    pub fn files(&self) -> &BTreeMap<FileName, Applied> {
        &self.files
    }

    /// The file that an entity belongs to.
    pub fn owner(&self, entity: &Entity) -> Option<&FileName> {
        match entity {
            Entity::Route(id) => self.routes.get(id).map(|owned| &*owned.by),
            Entity::Upstream(name) => self.upstreams.get(name).map(|owned| &*owned.by),
            Entity::Key(id) => self.keys.get(id).map(|owned| &*owned.by),
            Entity::Settings => self.settings.as_ref().map(|owned| &*owned.by),
            Entity::Log => None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn release(&mut self, file: &FileName, released: &Entities) {
        let is_its = |by: &Arc<FileName>| **by == *file;
        for name in &released.upstreams {
            if self.upstreams.get(name).is_some_and(|owned| is_its(&owned.by)) {
                self.upstreams.remove(name);
            }
        }
        for id in &released.routes {
            if self.routes.get(id).is_some_and(|owned| is_its(&owned.by)) {
                self.routes.remove(id);
            }
        }
        for id in &released.keys {
            if self.keys.get(id).is_some_and(|owned| is_its(&owned.by)) {
                self.keys.remove(id);
            }
        }
        if released.settings {
            self.settings.take_if(|owned| is_its(&owned.by));
        }
    }
}

/// What belongs to a file and is not as the file said, because somebody else has changed or deleted it since.
pub fn drifted(state: &ConfigState, file: &FileName) -> Vec<Entity> {
    fn of<'a, E: Managed + 'a>(
        state: &'a ConfigState,
        file: &'a FileName,
        owned: impl Iterator<Item = &'a Owned<E>> + 'a,
    ) -> impl Iterator<Item = Entity> + 'a {
        owned
            .filter(move |owned| *owned.by == *file)
            .filter(|owned| {
                E::entry(state, owned.said.id()).is_none_or(|now| !now.value.agrees_with(&owned.said))
            })
            .map(|owned| E::entity(owned.said.id()))
    }
    let own = state.ownership();
    let upstreams = of(state, file, own.upstreams.values());
    let routes = of(state, file, own.routes.values());
    let keys = of(state, file, own.keys.values());
    let settings = of(state, file, own.settings.iter());
    upstreams.chain(routes).chain(keys).chain(settings).collect()
}

/// What becomes of the ownership when a file was applied. What the file claims and is not there, it does not get.
pub(super) fn after(state: &ConfigState, applied: &FileApplied, stamp: &Stamp) -> Ownership {
    let mut own = state.ownership().clone();
    own.release(&applied.file, &applied.releases);
    let by = Arc::new(applied.file.clone());
    let owned = |said| Owned { by: by.clone(), said };
    for name in &applied.claims.upstreams {
        if let Some(entry) = state.upstream(name) {
            own.upstreams.insert(name.clone(), owned(entry.value.clone()));
        }
    }
    let owned = |said| Owned { by: by.clone(), said };
    for id in &applied.claims.routes {
        if let Some(entry) = state.route(id) {
            own.routes.insert(id.clone(), owned(entry.value.clone()));
        }
    }
    let owned = |said| Owned { by: by.clone(), said };
    for id in &applied.claims.keys {
        if let Some(entry) = state.key(id) {
            own.keys.insert(*id, owned(Arc::new(entry.value.clone())));
        }
    }
    if applied.claims.settings {
        let said = state.settings().value.clone();
        own.settings = Some(Owned { by, said });
    }
    let last = Applied {
        revision: stamp.revision,
        digest: applied.digest.clone(),
    };
    own.files.insert(applied.file.clone(), last);
    own
}

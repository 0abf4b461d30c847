//! The written form of the ownership. What a file said is only written where the entity is not so any more.

use std::{collections::BTreeMap, sync::Arc};

use flexgate_schemas::{ApiKey, FileName, Route, Settings, Upstream};
use serde::{Deserialize, Serialize};

use super::{
    super::{ConfigState, entity::Managed},
    Applied, Owned, Ownership,
};

/// The ownership, beside the state that it is of.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(in crate::domain) struct Written {
    files: BTreeMap<FileName, Applied>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    upstreams: Vec<Own<Upstream>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Own<Route>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<Own<ApiKey>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<OwnSettings>,
}

/// The settings, in full: there is only one of them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnSettings {
    by: FileName,
    said: Arc<Settings>,
}

/// One entity: by its id where the state has what the file said, in full where not.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[serde(bound(
    serialize = "E: Managed + Serialize, E::Id: Serialize",
    deserialize = "E: Managed + Deserialize<'de>, E::Id: Deserialize<'de>"
))]
struct Own<E: Managed> {
    by: FileName,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_it_is: Option<E::Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<Arc<E>>,
}

impl<E: Managed> Own<E> {
    fn of(state: &ConfigState, owned: &Owned<E>) -> Self {
        let is_so = E::entry(state, owned.said.id()).is_some_and(|now| {
            std::ptr::eq(now.value, Arc::as_ptr(&owned.said)) || *now.value == *owned.said
        });
        Self {
            by: FileName::clone(&owned.by),
            as_it_is: is_so.then(|| owned.said.id().clone()),
            said: (!is_so).then(|| owned.said.clone()),
        }
    }
}

impl Written {
    /// As it is written beside this state.
    pub(in crate::domain) fn of(state: &ConfigState) -> Option<Self> {
        let own = state.ownership();
        (!own.is_empty()).then(|| Self {
            files: own.files.clone(),
            upstreams: own
                .upstreams
                .values()
                .map(|owned| Own::of(state, owned))
                .collect(),
            routes: own.routes.values().map(|owned| Own::of(state, owned)).collect(),
            keys: own.keys.values().map(|owned| Own::of(state, owned)).collect(),
            settings: own.settings.as_ref().map(|owned| OwnSettings {
                by: FileName::clone(&owned.by),
                said: owned.said.clone(),
            }),
        })
    }

    /// As it was, beside this state.
    pub(in crate::domain) fn read(self, state: &ConfigState) -> Ownership {
        let mut names = Names::default();
        let mut own = Ownership {
            files: self.files,
            ..Ownership::default()
        };
        for one in self.upstreams {
            let here = |name: &_| Some(state.upstream(name)?.value.clone());
            own.upstreams.extend(
                names
                    .owned(one, here)
                    .map(|owned| (owned.said.name.clone(), owned)),
            );
        }
        for one in self.routes {
            let here = |id: &_| Some(state.route(id)?.value.clone());
            own.routes
                .extend(names.owned(one, here).map(|owned| (owned.said.id.clone(), owned)));
        }
        for one in self.keys {
            let here = |id: &_| Some(Arc::new(state.key(id)?.value.clone()));
            own.keys
                .extend(names.owned(one, here).map(|owned| (owned.said.id, owned)));
        }
        own.settings = self.settings.map(|OwnSettings { by, said }| Owned {
            by: names.shared(by),
            said,
        });
        own
    }
}

/// One name for all that has the same owner.
#[derive(Default)]
struct Names(BTreeMap<FileName, Arc<FileName>>);

impl Names {
    fn owned<E: Managed>(
        &mut self,
        one: Own<E>,
        here: impl Fn(&E::Id) -> Option<Arc<E>>,
    ) -> Option<Owned<E>> {
        let said = one.said.or_else(|| here(&one.as_it_is?))?;
        let by = self.shared(one.by);
        Some(Owned { by, said })
    }

    fn shared(&mut self, name: FileName) -> Arc<FileName> {
        self.0
            .entry(name.clone())
            .or_insert_with(|| Arc::new(name))
            .clone()
    }
}

//! The written form of a config state: its entities. What is derived from them is derived again when it is read.

use std::sync::Arc;

use flexgate_schemas::{ApiKey, Route, RouteId, Settings, Upstream, UpstreamId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ConfigState, Entry, Keys, ownership};

/// Everything that cannot be derived.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(serialize_with = "values")]
    upstreams: &'a im::OrdMap<UpstreamId, Entry<Arc<Upstream>>>,
    #[serde(serialize_with = "values")]
    routes: &'a im::OrdMap<RouteId, Entry<Arc<Route>>>,
    settings: &'a Entry<Arc<Settings>>,
    #[serde(serialize_with = "values", skip_serializing_if = "Keys::is_empty")]
    keys: &'a Keys,
    #[serde(skip_serializing_if = "Option::is_none")]
    ownership: Option<ownership::Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    upstreams: Vec<Entry<Arc<Upstream>>>,
    routes: Vec<Entry<Arc<Route>>>,
    settings: Entry<Arc<Settings>>,
    #[serde(default)]
    keys: Vec<Entry<ApiKey>>,
    #[serde(default)]
    ownership: Option<ownership::Written>,
}

fn values<S: Serializer, K: Ord, V: Serialize>(
    map: &im::OrdMap<K, V>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(map.values())
}

impl Serialize for ConfigState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = Written {
            upstreams: self.upstreams(),
            routes: self.routes(),
            settings: self.settings(),
            keys: self.keys(),
            ownership: ownership::Written::of(self),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ConfigState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::deserialize(deserializer)?;
        let mut state = Self::default();
        state.put_settings(read.settings);
        read.upstreams
            .into_iter()
            .for_each(|entry| state.put_upstream(entry));
        read.routes.into_iter().for_each(|entry| state.put_route(entry));
        read.keys.into_iter().for_each(|entry| state.put_key(entry));
        if let Some(written) = read.ownership {
            let ownership = written.read(&state);
            state.own(ownership);
        }
        Ok(state)
    }
}

//! The written form of a config state: its entities. What is derived from them is derived again when it is read.

use flexgate_schemas::{Route, Settings, Upstream};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ConfigState, Entry};

/// Everything that cannot be derived.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(serialize_with = "values")]
    upstreams: &'a im::OrdMap<flexgate_schemas::UpstreamId, Entry<Upstream>>,
    #[serde(serialize_with = "values")]
    routes: &'a im::OrdMap<flexgate_schemas::RouteId, Entry<Route>>,
    settings: &'a Entry<Settings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    upstreams: Vec<Entry<Upstream>>,
    routes: Vec<Entry<Route>>,
    settings: Entry<Settings>,
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
        Ok(state)
    }
}

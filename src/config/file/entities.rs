//! The upstreams, routes and keys of a file, with the limits that stand elsewhere.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    ops::Range,
};

use flexgate_schemas::{KeyId, PathPattern, RateLimit, Route, RouteId, Upstream, UpstreamId, key::GivenKey};
use serde::de::DeserializeOwned;

use super::{
    dialect, identity,
    reading::Reading,
    sections::RateLimits,
    tree::{Key, Node, Value},
};

impl Reading<'_> {
    /// The items of a list section.
    fn items<'t>(&mut self, tree: &'t Node, name: &str) -> &'t [Node] {
        match tree.entry(name) {
            None => &[],
            Some((_, node)) if matches!(node.value, Value::List(_) | Value::Null) => node.items(),
            Some((key, _)) => {
                let help = "begin each item with `- ` on a line of its own".to_owned();
                self.mistake(format!("`{name}` is a list"), key.spot(), Some(help));
                &[]
            }
        }
    }

    /// Reads one item of a list, in either vocabulary.
    fn entity<T: DeserializeOwned>(&mut self, mut node: Node) -> Option<T> {
        for remark in dialect::translate(&mut node) {
            self.warn(remark.message, &remark.place);
        }
        self.value(&node)
    }

    /// All upstreams that can be read, no name twice.
    pub(super) fn upstreams(&mut self, tree: &Node) -> Vec<Upstream> {
        let mut first: HashMap<UpstreamId, Range<usize>> = HashMap::new();
        let mut upstreams = Vec::new();
        for item in self.items(tree, "upstreams") {
            let Some(upstream) = self.entity::<Upstream>(item.clone()) else {
                continue;
            };
            let name = format!("upstream {:?}", upstream.name);
            if self.is_new(&mut first, upstream.name.clone(), item, &name) {
                upstreams.push(upstream);
            }
        }
        upstreams
    }

    /// All routes that can be read, no id twice.
    pub(super) fn routes(&mut self, tree: &Node) -> Vec<Route> {
        let mut first: HashMap<RouteId, Range<usize>> = HashMap::new();
        let mut routes = Vec::new();
        for item in self.items(tree, "routes") {
            let Some(route) = self.route(item) else { continue };
            let name = match item.get("id") {
                Some(_) => format!("the id {:?}", route.id),
                None => "a route for exactly these requests".to_owned(),
            };
            if self.is_new(&mut first, route.id.clone(), item, &name) {
                routes.push(route);
            }
        }
        routes
    }

    /// All keys of `security.auth.keys` that can be read, no hash twice, and those of `withheldKeys`, none of which is given.
    pub(super) fn keys(&mut self, tree: &Node) -> (Vec<GivenKey>, Vec<KeyId>) {
        let mut first: HashMap<KeyId, Range<usize>> = HashMap::new();
        let (mut keys, mut withheld) = (Vec::new(), Vec::new());
        let Some((_, auth)) = tree.entry_at(&["security", "auth"]) else {
            return (keys, withheld);
        };
        for item in self.items(auth, "keys") {
            let Some(key) = self.entity::<GivenKey>(item.clone()) else {
                continue;
            };
            if self.is_new(&mut first, key.id(), item, "a key with this hash") {
                keys.push(key);
            }
        }
        for item in self.items(auth, "withheldKeys") {
            let Some(id) = self.value::<KeyId>(item) else {
                continue;
            };
            if self.is_new(&mut first, id, item, "this key") {
                withheld.push(id);
            }
        }
        (keys, withheld)
    }

    fn route(&mut self, item: &Node) -> Option<Route> {
        if item.get("id").is_some() {
            return self.entity(item.clone());
        }
        let mut with_id = item.clone();
        let place = item.place();
        let stand_in = Node::made_up(Value::Text("file".to_owned()), &place);
        with_id.put(Key::made_up("id", &(0..0)), stand_in);
        let mut route: Route = self.entity(with_id)?;
        route.id = identity::derive(&route);
        Some(route)
    }

    fn is_new<K: Hash + Eq>(
        &mut self,
        first: &mut HashMap<K, Range<usize>>,
        id: K,
        item: &Node,
        name: &str,
    ) -> bool {
        match first.entry(id) {
            Entry::Vacant(entry) => {
                entry.insert(item.place());
                true
            }
            Entry::Occupied(entry) => {
                let message = format!("{name} is already there, in line {}", self.line(entry.get()));
                self.mistake(
                    message,
                    item.spot(),
                    Some("change or remove one of the two".to_owned()),
                );
                false
            }
        }
    }

    /// `rateLimit.perRoute` gives limits to routes of this file, by their path exactly as written. A limit that finds
    /// no route is a mistake: it would protect nothing.
    pub(super) fn limits_by_path(&mut self, tree: &Node, limits: &RateLimits, routes: &mut [Route]) {
        if limits.enabled == Some(false) || limits.per_route.is_none() {
            return;
        }
        let Some((_, list)) = tree.entry_at(&["rateLimit", "perRoute"]) else {
            return;
        };
        for item in list.items() {
            let mut limit = item.clone();
            let Some((_, path)) = limit.take("path") else {
                let help = "write the path of a route".to_owned();
                self.mistake("`path` is missing", item.spot(), Some(help));
                drop(self.value::<RateLimit>(&limit));
                continue;
            };
            let (Some(path), Some(limit)) =
                (self.value::<PathPattern>(&path), self.value::<RateLimit>(&limit))
            else {
                continue;
            };
            let mut met = routes
                .iter_mut()
                .filter(|route| route.path.shape() == path.shape())
                .peekable();
            if met.peek().is_none() {
                let help = "give the limit to a route, or write the path of one".to_owned();
                self.mistake(format!("no route has the path {path}"), item.spot(), Some(help));
                continue;
            }
            for route in met {
                route.rate_limit.get_or_insert_with(|| limit.clone().into());
            }
        }
    }
}

//! Which routes belong to a key: the upstream they use, or what they match.

use flexgate_schemas::RouteId;

/// Pairs of a key and a route, in order. One tree for all keys, so that a key with a single route costs a pair.
#[derive(Clone)]
pub(super) struct Index<K>(im::OrdSet<(K, Option<RouteId>)>);

impl<K: Ord + Clone> Index<K> {
    pub(super) fn insert(&mut self, key: K, route: RouteId) {
        self.0.insert((key, Some(route)));
    }

    pub(super) fn remove(&mut self, key: K, route: RouteId) {
        self.0.remove(&(key, Some(route)));
    }

    /// The routes of a key, by id.
    pub(super) fn of(&self, key: K) -> impl Iterator<Item = &RouteId> {
        // A key without a route sorts before the same key with one.
        let pairs = self.0.range((key.clone(), None)..);
        pairs
            .take_while(move |(own, _)| *own == key)
            .filter_map(|(_, route)| route.as_ref())
    }
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self(im::OrdSet::default())
    }
}

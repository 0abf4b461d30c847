//! Which routes use which upstream by name.

use flexgate_schemas::{Route, RouteId, UpstreamId, UpstreamRef};

/// Pairs of an upstream and a route, in order: one tree, in which an upstream with a single route costs a pair.
#[derive(Clone, Default)]
pub(super) struct Usage(im::OrdSet<(UpstreamId, Option<RouteId>)>);

impl Usage {
    pub(super) fn add(&mut self, route: &Route) {
        if let Some(pair) = pair(route) {
            self.0.insert(pair);
        }
    }

    pub(super) fn remove(&mut self, route: &Route) {
        if let Some(pair) = pair(route) {
            self.0.remove(&pair);
        }
    }

    /// The routes of an upstream, by id.
    pub(super) fn of(&self, upstream: &UpstreamId) -> impl Iterator<Item = &RouteId> {
        // An upstream without a route sorts before the same upstream with one.
        let upstream = upstream.clone();
        let pairs = self.0.range((upstream.clone(), None)..);
        let own = pairs.take_while(move |(user_of, _)| *user_of == upstream);
        own.filter_map(|(_, route)| route.as_ref())
    }
}

fn pair(route: &Route) -> Option<(UpstreamId, Option<RouteId>)> {
    match &route.upstream {
        UpstreamRef::Named(upstream) => Some((upstream.clone(), Some(route.id.clone()))),
        UpstreamRef::Url(_) => None,
    }
}

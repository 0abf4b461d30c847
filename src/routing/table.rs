//! The table: a persistent trie over host and path segments.

use std::sync::Arc;

use flexgate_schemas::{HostPattern, Methods, Route, RouteId, route::Priority};
use http::{HeaderMap, Method};

use super::{
    Ruled,
    branches::{Branches, Map},
    fit::predicates_hold,
    node::Node,
    rules::Rules,
    specificity,
    walk::{Path, Pattern, Trail, Visitor},
};

/// Every enabled route, ready to be matched. A clone shares everything with its original, and a change copies only the
/// nodes on the way to it: microseconds among 100,000 routes.
#[derive(Clone)]
pub struct Table<R> {
    by_id: Map<RouteId, R>,
    exact: Branches<R>,
    wildcards: Branches<R>,
    any_host: Arc<Node<R>>,
}

/// What of a request decides its route.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// As [`super::normalize_host`] gives it; empty when the request names none.
    pub host: &'a str,
    /// As [`super::normalize`] gives it.
    pub path: &'a str,
    /// What follows the `?`, as sent.
    pub query: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// What the table has for a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a, R> {
    /// This rule takes it.
    Rule(&'a R),
    /// Rules fit in everything but the method: the methods they list.
    MethodNotAllowed(Methods),
    /// No rule fits.
    Nothing,
}

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self {
            by_id: Map::default(),
            exact: Branches::default(),
            wildcards: Branches::default(),
            any_host: Arc::default(),
        }
    }
}

impl<R: Ruled + Clone> Table<R> {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The rule of an enabled route.
    pub fn get(&self, id: &RouteId) -> Option<&R> {
        self.by_id.get(id)
    }

    /// Puts a rule in, in place of the one with the same id. A disabled route is not put in, but what it replaces is
    /// taken out all the same.
    pub fn insert(&mut self, rule: R) {
        let kept = rule.clone();
        let route = kept.route();
        self.remove(route);
        if route.enabled {
            self.by_id.insert(route.id.clone(), kept.clone());
            self.change(route, |rules| rules.insert(rule));
        }
    }

    /// Takes out the rule with this route's id, wherever it is by now.
    pub fn remove(&mut self, route: &Route) {
        if let Some(old) = self.by_id.remove(&route.id) {
            self.change(old.route(), |rules| rules.remove(&route.id));
        }
    }

    #[cfg(test)]
    pub(super) fn holds_no_nodes(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty() && self.any_host.is_bare()
    }

    /// The highest priority of all rules without a host.
    #[cfg(test)]
    pub(super) fn highest_priority(&self) -> Option<Priority> {
        self.any_host.top()
    }

    fn change(&mut self, route: &Route, change: impl FnOnce(&mut Rules<R>)) {
        let pattern = Pattern::of(&route.path);
        match &route.host {
            Some(HostPattern::Exact(host)) => self.exact.change(host, |root| root.change(pattern, change)),
            Some(HostPattern::Wildcard(suffix)) => {
                self.wildcards.change(suffix, |root| root.change(pattern, change));
            }
            None => Arc::make_mut(&mut self.any_host).change(pattern, change),
        }
    }

    /// The rule that takes a request. Allocates nothing.
    pub fn find(&self, request: &Target<'_>) -> Found<'_, R> {
        let path = Path::of(request.path);
        let mut winner = Winner { request, rule: None };
        self.walk(Some(Host::Exact(request.host)), path, &mut winner);
        if let Some(rule) = winner.rule {
            return Found::Rule(rule);
        }
        let mut allowed = Allowed {
            request,
            methods: Methods::ANY,
        };
        self.walk(Some(Host::Exact(request.host)), path, &mut allowed);
        if allowed.methods.is_empty() {
            Found::Nothing
        } else {
            Found::MethodNotAllowed(allowed.methods)
        }
    }

    /// Another rule that takes every request that this route could take, so that it can never match.
    pub fn shadowed_by(&self, route: &Route) -> Option<&R> {
        let host = route.host.as_ref().map(|host| match host {
            HostPattern::Exact(name) => Host::Exact(name),
            HostPattern::Wildcard(suffix) => Host::Below(suffix),
        });
        let mut shadow = Shadow { route, rule: None };
        self.walk(host, Pattern::of(&route.path), &mut shadow);
        shadow.rule
    }

    /// Walks the tries of every host pattern that covers the host, the most specific first.
    fn walk<'a, 'p>(
        &'a self,
        host: Option<Host<'p>>,
        trail: impl Trail<'p>,
        visitor: &mut impl Visitor<'a, R>,
    ) {
        if let Some(Host::Exact(name)) = host
            && let Some(root) = self.exact.get(name)
        {
            root.walk(trail, visitor);
        }
        if !self.wildcards.is_empty() {
            let mut suffix = match host {
                Some(Host::Exact(name)) => parent(name),
                Some(Host::Below(suffix)) => Some(suffix),
                None => None,
            };
            while let Some(name) = suffix {
                if let Some(root) = self.wildcards.get(name) {
                    root.walk(trail, visitor);
                }
                suffix = parent(name);
            }
        }
        self.any_host.walk(trail, visitor);
    }
}

/// A set of hosts.
#[derive(Clone, Copy)]
enum Host<'h> {
    /// This one.
    Exact(&'h str),
    /// Every name below this suffix.
    Below(&'h str),
}

/// A name without its first label.
fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}

/// Looks for the rule that takes a request. Rules come the most specific first, so a later one needs a higher priority.
struct Winner<'a, 'r, R> {
    request: &'r Target<'r>,
    rule: Option<&'a R>,
}

impl<'a, R: Ruled> Visitor<'a, R> for Winner<'a, '_, R> {
    fn wants(&self, top: Option<Priority>) -> bool {
        top > self.rule.map(|rule| rule.route().priority)
    }

    fn visit(&mut self, rules: &'a [R]) {
        let fits = |rule: &&R| {
            let route = rule.route();
            route.methods.contains(self.request.method) && predicates_hold(&route.matchers, self.request)
        };
        let better = |rule: &&R| self.wants(Some(rule.route().priority));
        if let Some(rule) = rules.iter().take_while(better).find(fits) {
            self.rule = Some(rule);
        }
    }
}

/// Collects the methods of rules that fit in everything else.
struct Allowed<'r> {
    request: &'r Target<'r>,
    methods: Methods,
}

impl<'a, R: Ruled> Visitor<'a, R> for Allowed<'_> {
    fn wants(&self, _: Option<Priority>) -> bool {
        true
    }

    fn visit(&mut self, rules: &'a [R]) {
        for route in rules.iter().map(Ruled::route) {
            if predicates_hold(&route.matchers, self.request) {
                self.methods = self.methods.union(route.methods);
            }
        }
    }
}

/// Looks for a rule that leaves nothing to a route.
struct Shadow<'a, 'r, R> {
    route: &'r Route,
    rule: Option<&'a R>,
}

impl<'a, R: Ruled> Visitor<'a, R> for Shadow<'a, '_, R> {
    fn wants(&self, top: Option<Priority>) -> bool {
        self.rule.is_none() && top >= Some(self.route.priority)
    }

    fn visit(&mut self, rules: &'a [R]) {
        let covers = |rule: &&R| {
            let other = rule.route();
            specificity::cmp(other, self.route).is_lt()
                && other.id != self.route.id
                && other.methods.covers(&self.route.methods)
                && other.matchers.covers(&self.route.matchers)
        };
        self.rule = self.rule.or_else(|| rules.iter().find(covers));
    }
}

impl<R> std::fmt::Debug for Table<R> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Table({} rules)", self.by_id.len())
    }
}

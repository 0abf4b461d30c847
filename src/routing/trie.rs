//! A persistent trie over host and path segments.

use std::sync::Arc;

use flexgate_schemas::{HostPattern, Route};

use super::{
    Ruled,
    branches::Branches,
    node::Node,
    rules::{Rule, Rules},
    walk::{Pattern, Trail, Visitor},
};

/// Rules by host and path. A clone shares everything with its original; a change copies what is on the way to it.
#[derive(Clone)]
pub(crate) struct Trie<R> {
    exact: Branches<R>,
    wildcards: Branches<R>,
    any_host: Arc<Node<R>>,
}

/// A set of hosts.
#[derive(Clone, Copy)]
pub(super) enum Hosts<'h> {
    /// This one.
    One(&'h str),
    /// Every name below this suffix.
    Below(&'h str),
    /// Every host.
    All,
}

impl<'h> Hosts<'h> {
    /// The hosts of a route.
    pub(super) fn of(route: &'h Route) -> Self {
        match &route.host {
            Some(HostPattern::Exact(name)) => Self::One(name),
            Some(HostPattern::Wildcard(suffix)) => Self::Below(suffix),
            None => Self::All,
        }
    }
}

impl<R> Default for Trie<R> {
    fn default() -> Self {
        Self {
            exact: Branches::default(),
            wildcards: Branches::default(),
            any_host: Arc::default(),
        }
    }
}

impl<R: Ruled + Clone> Trie<R> {
    /// Puts a rule in. There is none with its id.
    pub(crate) fn insert(&mut self, held: &R) {
        let rule = Rule::new(held.clone());
        self.change(held.route(), |rules| rules.insert(rule));
    }

    /// Takes out the rule that was put in for this very route.
    pub(crate) fn remove(&mut self, route: &Route) {
        self.change(route, |rules| rules.remove(&route.id));
    }

    fn change(&mut self, route: &Route, change: impl FnOnce(&mut Rules<R>)) {
        let pattern = Pattern::of(&route.path);
        match Hosts::of(route) {
            Hosts::One(name) => self.exact.change(name, |root| root.change(pattern, change)),
            Hosts::Below(suffix) => self.wildcards.change(suffix, |root| root.change(pattern, change)),
            Hosts::All => Arc::make_mut(&mut self.any_host).change(pattern, change),
        }
    }

    /// Another rule that matches exactly the same requests.
    pub(crate) fn twin_of(&self, route: &Route) -> Option<&R> {
        let root = match Hosts::of(route) {
            Hosts::One(name) => self.exact.get(name),
            Hosts::Below(suffix) => self.wildcards.get(suffix),
            Hosts::All => Some(&*self.any_host),
        };
        let mut rules = root?.at(Pattern::of(&route.path)).iter();
        let twin = rules.find(|rule| {
            let other = rule.route();
            other.id != route.id && other.methods == route.methods && other.matchers == route.matchers
        });
        twin.map(|rule| &rule.held)
    }

    /// Shows the visitor every rule whose host and path cover these, the most specific first.
    pub(super) fn walk<'a, 'p>(
        &'a self,
        hosts: Hosts<'p>,
        trail: impl Trail<'p>,
        visitor: &mut impl Visitor<'a, R>,
    ) {
        if let Hosts::One(name) = hosts
            && let Some(root) = self.exact.get(name)
        {
            root.walk(trail, visitor);
        }
        if !self.wildcards.is_empty() {
            let mut suffix = match hosts {
                Hosts::One(name) => parent(name),
                Hosts::Below(suffix) => Some(suffix),
                Hosts::All => None,
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

    /// The highest priority of all rules without a host.
    #[cfg(test)]
    pub(super) fn highest_priority(&self) -> Option<flexgate_schemas::route::Priority> {
        self.any_host.top()
    }

    /// Whether there is nothing in it, not even something empty.
    #[cfg(test)]
    pub(super) fn is_bare(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty() && self.any_host.is_bare()
    }
}

/// A name without its first label.
fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}

//! The rules of one place in the trie: same host, same path pattern but for names, and nearly always a single one.

use flexgate_schemas::{Methods, Route, RouteId, route::Priority};

use super::{Ruled, Target, few::Few, fit::predicates_hold, specificity};

/// A rule, with beside it what of its route decides most requests: a route lies elsewhere in memory, and among many
/// routes that is where a look-up would spend its time.
#[derive(Clone)]
pub(super) struct Rule<R> {
    pub(super) priority: Priority,
    pub(super) methods: Methods,
    has_predicates: bool,
    pub(super) held: R,
}

impl<R: Ruled> Rule<R> {
    pub(super) fn new(held: R) -> Self {
        let route = held.route();
        Self {
            priority: route.priority,
            methods: route.methods,
            has_predicates: !route.matchers.is_empty(),
            held,
        }
    }

    pub(super) fn route(&self) -> &Route {
        self.held.route()
    }

    /// Whether a request has what the route asks of its headers and query.
    pub(super) fn predicates_hold(&self, request: &Target<'_>) -> bool {
        !self.has_predicates || predicates_hold(&self.route().matchers, request)
    }
}

/// Rules in the order in which they are asked.
#[derive(Clone)]
pub(super) struct Rules<R>(Few<Rule<R>>);

impl<R> Default for Rules<R> {
    fn default() -> Self {
        Self(Few::None)
    }
}

impl<R: Ruled + Clone> Rules<R> {
    pub(super) fn as_slice(&self) -> &[Rule<R>] {
        self.0.as_slice()
    }

    /// The highest priority among them, which is the first rule's.
    pub(super) fn top(&self) -> Option<Priority> {
        self.as_slice().first().map(|rule| rule.priority)
    }

    /// Puts a rule in its place. There is none with its id.
    pub(super) fn insert(&mut self, rule: Rule<R>) {
        let comes_first = |other: &Rule<R>| specificity::cmp(other.route(), rule.route()).is_lt();
        let place = self.as_slice().partition_point(comes_first);
        self.0.insert(place, rule);
    }

    pub(super) fn remove(&mut self, id: &RouteId) {
        self.0.retain(|rule| rule.route().id != *id);
    }
}

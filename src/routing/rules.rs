//! The rules of one place in the trie: same host, same path pattern but for names, and nearly always a single one.

use std::sync::Arc;

use flexgate_schemas::{Methods, Route, RouteId, route::Priority};

use super::{Ruled, Target, fit::predicates_hold, specificity};

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
#[derive(Clone, Default)]
pub(super) enum Rules<R> {
    #[default]
    None,
    One(Rule<R>),
    Many(Arc<[Rule<R>]>),
}

impl<R: Ruled + Clone> Rules<R> {
    pub(super) fn as_slice(&self) -> &[Rule<R>] {
        match self {
            Self::None => &[],
            Self::One(rule) => std::slice::from_ref(rule),
            Self::Many(rules) => rules,
        }
    }

    /// The highest priority among them, which is the first rule's.
    pub(super) fn top(&self) -> Option<Priority> {
        self.as_slice().first().map(|rule| rule.priority)
    }

    /// Puts a rule in its place. There is none with its id.
    pub(super) fn insert(&mut self, rule: Rule<R>) {
        let mut rules = self.as_slice().to_vec();
        let place = rules.partition_point(|other| specificity::cmp(other.route(), rule.route()).is_lt());
        rules.insert(place, rule);
        *self = rules.into();
    }

    pub(super) fn remove(&mut self, id: &RouteId) {
        let others = self.as_slice().iter().filter(|rule| rule.route().id != *id);
        *self = others.cloned().collect::<Vec<_>>().into();
    }
}

impl<R> From<Vec<Rule<R>>> for Rules<R> {
    fn from(mut rules: Vec<Rule<R>>) -> Self {
        match (rules.pop(), rules.is_empty()) {
            (None, _) => Self::None,
            (Some(only), true) => Self::One(only),
            (Some(last), false) => {
                rules.push(last);
                Self::Many(rules.into())
            }
        }
    }
}

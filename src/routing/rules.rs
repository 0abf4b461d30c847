//! The rules of one place in the trie: same host, same path pattern but for names, and nearly always a single one.

use std::sync::Arc;

use flexgate_schemas::{RouteId, route::Priority};

use super::{Ruled, specificity};

/// Rules in the order in which they are asked.
#[derive(Clone, Default)]
pub(super) enum Rules<R> {
    #[default]
    None,
    One(R),
    Many(Arc<[R]>),
}

impl<R: Ruled + Clone> Rules<R> {
    pub(super) fn as_slice(&self) -> &[R] {
        match self {
            Self::None => &[],
            Self::One(rule) => std::slice::from_ref(rule),
            Self::Many(rules) => rules,
        }
    }

    /// The highest priority among them, which is the first rule's.
    pub(super) fn top(&self) -> Option<Priority> {
        self.as_slice().first().map(|rule| rule.route().priority)
    }

    /// Puts a rule in its place. There is none with its id.
    pub(super) fn insert(&mut self, rule: R) {
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

impl<R> From<Vec<R>> for Rules<R> {
    fn from(mut rules: Vec<R>) -> Self {
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

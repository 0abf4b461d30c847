//! One place in the trie of path segments.

use std::sync::Arc;

use flexgate_schemas::route::Priority;

use super::{
    Ruled,
    branches::Branches,
    rules::{Rule, Rules},
    walk::{Head, Pattern, Trail, Visitor},
};

/// A node and, shared between versions of the table, everything below it.
#[derive(Clone)]
pub(super) struct Node<R> {
    /// The highest priority here and below, so that a walk that has found better passes by.
    top: Option<Priority>,
    /// The patterns that end here.
    here: Rules<R>,
    /// The patterns that end here with `/*`.
    below: Rules<R>,
    literals: Branches<R>,
    named: Option<Arc<Node<R>>>,
}

impl<R> Default for Node<R> {
    fn default() -> Self {
        Self {
            top: None,
            here: Rules::default(),
            below: Rules::default(),
            literals: Branches::default(),
            named: None,
        }
    }
}

impl<R: Ruled + Clone> Node<R> {
    pub(super) fn top(&self) -> Option<Priority> {
        self.top
    }

    pub(super) fn is_empty(&self) -> bool {
        self.top.is_none()
    }

    /// Whether there is nothing below, not even something empty.
    #[cfg(test)]
    pub(super) fn is_bare(&self) -> bool {
        self.is_empty() && self.literals.is_empty() && self.named.is_none()
    }

    /// Changes the rules of one pattern. What is shared on the way there is copied, what is left empty removed.
    pub(super) fn change(&mut self, pattern: Pattern<'_>, change: impl FnOnce(&mut Rules<R>)) {
        match pattern.step() {
            (Head::Literal(text), rest) => self.literals.change(text, |child| child.change(rest, change)),
            (Head::Named, rest) => {
                let child = self.named.get_or_insert_default();
                Arc::make_mut(child).change(rest, change);
                self.named.take_if(|child| child.is_empty());
            }
            (Head::End, _) => change(&mut self.here),
            (Head::Below, _) => change(&mut self.below),
        }
        let named = self.named.as_ref().and_then(|child| child.top);
        self.top = (self.here.top().max(self.below.top())).max(self.literals.top().max(named));
    }

    /// The rules of one pattern.
    pub(super) fn at(&self, pattern: Pattern<'_>) -> &[Rule<R>] {
        let (child, rest) = match pattern.step() {
            (Head::Literal(text), rest) => (self.literals.get(text), rest),
            (Head::Named, rest) => (self.named.as_deref(), rest),
            (Head::End, _) => return self.here.as_slice(),
            (Head::Below, _) => return self.below.as_slice(),
        };
        child.map_or(&[], |child| child.at(rest))
    }

    /// Shows the visitor every rule whose pattern takes all that the trail stands for, the most specific first.
    pub(super) fn walk<'a, 'p>(&'a self, trail: impl Trail<'p>, visitor: &mut impl Visitor<'a, R>) {
        if !visitor.wants(self.top) {
            return;
        }
        let (head, rest) = trail.step();
        match head {
            Head::Literal(text) => {
                if let Some(child) = self.literals.get(text) {
                    child.walk(rest, visitor);
                }
                if let (Some(child), false) = (&self.named, text.is_empty()) {
                    child.walk(rest, visitor);
                }
            }
            Head::Named => {
                if let Some(child) = &self.named {
                    child.walk(rest, visitor);
                }
            }
            Head::End => visitor.visit(self.here.as_slice()),
            Head::Below => {}
        }
        visitor.visit(self.below.as_slice());
    }
}

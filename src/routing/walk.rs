//! Walking the trie along a request's path, or along another pattern to see what covers it.

use flexgate_schemas::{PathPattern, path::Segment, route::Priority};

use super::rules::Rule;

/// What comes next on a [`Trail`].
pub(super) enum Head<'p> {
    /// A segment with this text; of a request it may be empty.
    Literal(&'p str),
    /// Some non-empty segment, whichever.
    Named,
    /// Nothing: it ends here.
    End,
    /// Anything at all, so that only a `/*` takes all of it.
    Below,
}

/// Something that leads down the trie.
pub(super) trait Trail<'p>: Copy {
    /// The next step, and the trail after it.
    fn step(self) -> (Head<'p>, Self);
}

/// Somebody who is shown rules in the order of their specificity, priorities aside.
pub(super) trait Visitor<'a, R> {
    /// Whether rules of at most this priority are of any interest; otherwise they are passed by.
    fn wants(&self, top: Option<Priority>) -> bool;
    /// The rules of one place on the way.
    fn visit(&mut self, rules: &'a [Rule<R>]);
}

/// The path of a request, in normal form.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    /// What follows a slash.
    Segments(&'p str),
    /// Nothing is left.
    End,
    /// Not a path: the `*` of `OPTIONS *`.
    Asterisk,
}

impl<'p> Path<'p> {
    pub(super) fn of(path: &'p str) -> Self {
        path.strip_prefix('/').map_or(Self::Asterisk, Self::Segments)
    }
}

impl<'p> Trail<'p> for Path<'p> {
    fn step(self) -> (Head<'p>, Self) {
        match self {
            Self::Segments(rest) => match rest.split_once('/') {
                Some((segment, rest)) => (Head::Literal(segment), Self::Segments(rest)),
                None => (Head::Literal(rest), Self::End),
            },
            Self::End => (Head::End, self),
            Self::Asterisk => (Head::Below, self),
        }
    }
}

/// What is left of a pattern.
#[derive(Clone, Copy)]
pub(super) struct Pattern<'p> {
    segments: &'p [Segment],
    prefix: bool,
}

impl<'p> Pattern<'p> {
    pub(super) fn of(pattern: &'p PathPattern) -> Self {
        Self {
            segments: pattern.segments(),
            prefix: pattern.is_prefix(),
        }
    }
}

impl<'p> Trail<'p> for Pattern<'p> {
    fn step(self) -> (Head<'p>, Self) {
        let Some((segment, segments)) = self.segments.split_first() else {
            return (if self.prefix { Head::Below } else { Head::End }, self);
        };
        let head = match segment {
            Segment::Literal(text) => Head::Literal(text),
            Segment::Named(_) => Head::Named,
        };
        (head, Self { segments, ..self })
    }
}

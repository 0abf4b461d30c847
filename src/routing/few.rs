//! Lists that nearly always have one item, which then lies in the list itself.

use std::sync::Arc;

/// A short list. A clone shares its items where there are several.
#[derive(Clone, Default)]
pub(super) enum Few<T> {
    #[default]
    None,
    One(T),
    Several(Arc<[T]>),
}

impl<T: Clone> Few<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(item) => std::slice::from_ref(item),
            Self::Several(items) => items,
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            Self::None => &mut [],
            Self::One(item) => std::slice::from_mut(item),
            Self::Several(items) => Arc::make_mut(items),
        }
    }

    pub(super) fn insert(&mut self, place: usize, item: T) {
        let mut items = self.as_slice().to_vec();
        items.insert(place, item);
        *self = items.into_iter().collect();
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        *self = self
            .as_slice()
            .iter()
            .filter(|item| keep(item))
            .cloned()
            .collect();
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items = items.into_iter();
        match (items.next(), items.next()) {
            (None, _) => Self::None,
            (Some(only), None) => Self::One(only),
            (Some(first), Some(second)) => Self::Several([first, second].into_iter().chain(items).collect()),
        }
    }
}

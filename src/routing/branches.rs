//! The labelled children of a node: a short list, or a map where there are many.

use std::{
    hash::{BuildHasherDefault, DefaultHasher},
    sync::Arc,
};

use flexgate_schemas::route::Priority;

use super::{Ruled, few::Few, label::Label, node::Node};

/// Hashes with fixed keys: what is hashed for storing comes from operators, not from clients.
pub(super) type Map<K, V> =
    im::GenericHashMap<K, V, BuildHasherDefault<DefaultHasher>, im::shared_ptr::DefaultSharedPtr>;

/// Up to here comparing one by one is as fast as hashing, and a map would be mostly empty.
const FEW_MAX: usize = 8;

/// Children by label. A clone shares them.
#[derive(Clone)]
pub(super) enum Branches<R> {
    Few(Few<Branch<R>>),
    Many(Box<Many<R>>),
}

type Branch<R> = (Label, Arc<Node<R>>);

#[derive(Clone)]
pub(super) struct Many<R> {
    children: Map<Label, Arc<Node<R>>>,
    /// How many children have which top, so that the highest is known without asking all of them.
    tops: im::OrdMap<Priority, usize>,
}

impl<R> Default for Branches<R> {
    fn default() -> Self {
        Self::Few(Few::None)
    }
}

impl<R: Ruled + Clone> Branches<R> {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Few(Few::None))
    }

    pub(super) fn get(&self, label: &str) -> Option<&Node<R>> {
        match self {
            Self::Few(few) => {
                let mut branches = few.as_slice().iter();
                branches.find(|(own, _)| own == label).map(|(_, child)| &**child)
            }
            Self::Many(many) => many.children.get(label.as_bytes()).map(|child| &**child),
        }
    }

    /// The highest priority below.
    pub(super) fn top(&self) -> Option<Priority> {
        match self {
            Self::Few(few) => few.as_slice().iter().filter_map(|(_, child)| child.top()).max(),
            Self::Many(many) => many.tops.get_max().map(|(top, _)| *top),
        }
    }

    /// Changes the child with this label, which is made if there is none and removed if it is left empty.
    pub(super) fn change(&mut self, label: &str, change: impl FnOnce(&mut Node<R>)) {
        match self {
            Self::Few(few) => {
                let mut branches = few.as_mut_slice().iter_mut();
                if let Some((_, child)) = branches.find(|(own, _)| own == label) {
                    let child = Arc::make_mut(child);
                    change(child);
                    if child.is_empty() {
                        few.retain(|(own, _)| own != label);
                    }
                } else if let Some(child) = made(change) {
                    self.add(label.into(), child);
                }
            }
            Self::Many(many) => {
                many.change(label, change);
                if many.children.len() <= FEW_MAX / 2 {
                    let few = many.children.iter();
                    *self = Self::Few(few.map(|(label, child)| (label.clone(), child.clone())).collect());
                }
            }
        }
    }

    fn add(&mut self, label: Label, child: Arc<Node<R>>) {
        match self {
            Self::Few(few) if few.as_slice().len() < FEW_MAX => few.insert(0, (label, child)),
            Self::Few(few) => {
                let mut many = Many {
                    children: Map::default(),
                    tops: im::OrdMap::new(),
                };
                for (label, child) in few.as_slice().iter().cloned().chain([(label, child)]) {
                    many.add(label, child);
                }
                *self = Self::Many(Box::new(many));
            }
            Self::Many(many) => many.add(label, child),
        }
    }
}

impl<R: Ruled + Clone> Many<R> {
    fn add(&mut self, label: Label, child: Arc<Node<R>>) {
        self.recount(None, child.top());
        self.children.insert(label, child);
    }

    fn change(&mut self, label: &str, change: impl FnOnce(&mut Node<R>)) {
        let Some(child) = self.children.get_mut(label.as_bytes()) else {
            if let Some(child) = made(change) {
                self.add(label.into(), child);
            }
            return;
        };
        let before = child.top();
        let child = Arc::make_mut(child);
        change(child);
        let after = child.top();
        if after.is_none() {
            self.children.remove(label.as_bytes());
        }
        self.recount(before, after);
    }

    /// One child's top is another now; `None` stands for a child that is not there.
    fn recount(&mut self, before: Option<Priority>, after: Option<Priority>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            match self.tops.get_mut(&before) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(self.tops.remove(&before)),
            }
        }
        if let Some(after) = after {
            *self.tops.entry(after).or_insert(0) += 1;
        }
    }
}

/// A new child, unless the change leaves it empty.
fn made<R: Ruled + Clone>(change: impl FnOnce(&mut Node<R>)) -> Option<Arc<Node<R>>> {
    let mut child = Node::default();
    change(&mut child);
    (!child.is_empty()).then(|| Arc::new(child))
}

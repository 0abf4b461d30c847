//! Where the entities of a file stand in its text.

use std::{collections::HashMap, hash::Hash};

use flexgate_schemas::{KeyId, RouteId, UpstreamId, event::Entity, key::GivenKey};

use super::{super::finding::Place, Loaded, export, syntax, tree::Node};

/// An index of a file, for messages about what it says.
#[derive(Debug)]
pub struct Places<'a> {
    file: &'a Loaded,
    /// Nothing, should the text with its secrets masked be no YAML any more.
    tree: Option<Node>,
    routes: HashMap<&'a RouteId, usize>,
    upstreams: HashMap<&'a UpstreamId, usize>,
    keys: HashMap<KeyId, usize>,
}

impl<'a> Places<'a> {
    pub(super) fn of(file: &'a Loaded) -> Self {
        Self {
            file,
            tree: syntax::parse(&file.source, &file.source.text).ok(),
            routes: positions(file.routes.iter().map(|route| &route.id)),
            upstreams: positions(file.upstreams.iter().map(|upstream| &upstream.name)),
            keys: positions(file.keys.iter().map(GivenKey::id)),
        }
    }

    /// What the file is called.
    pub fn file_name(&self) -> &str {
        &self.file.source.name
    }

    /// Where an entity stands, or the field of it that a JSON Pointer (RFC 6901) names.
    pub fn find(&self, entity: &Entity, pointer: &str) -> Option<Place> {
        let tree = self.tree.as_ref()?;
        let node = match entity {
            Entity::Route(id) => tree.get("routes")?.items().get(*self.routes.get(id)?)?,
            Entity::Upstream(name) => tree.get("upstreams")?.items().get(*self.upstreams.get(name)?)?,
            Entity::Settings => tree,
            Entity::Key(id) => {
                let (list, position) = match self.keys.get(id) {
                    Some(position) => ("keys", *position),
                    None => ("withheldKeys", self.withheld(id)?),
                };
                let (_, keys) = tree.entry_at(&["security", "auth", list])?;
                keys.items().get(position)?
            }
            Entity::Log => return None,
        };
        Some(self.follow(node, pointer.split('/').skip(1)))
    }

    /// Where a JSON Pointer into what is applied points: `/routes/3/upstream`.
    pub fn at(&self, pointer: &str) -> Option<Place> {
        let tree = self.tree.as_ref()?;
        let pointer = export::pointer_in_file(pointer);
        let mut tokens = pointer.split('/').skip(1).peekable();
        tree.entry(tokens.peek()?)?;
        Some(self.follow(tree, tokens))
    }

    fn withheld(&self, id: &KeyId) -> Option<usize> {
        self.file.withheld_keys.iter().position(|own| own == id)
    }

    /// What a pointer leads to from here, or what it comes to last: a file may say the same in fewer or other words.
    fn follow<'t>(&self, mut node: &'t Node, tokens: impl Iterator<Item = &'t str>) -> Place {
        let mut span = node.place();
        for token in tokens {
            let item = || node.items().get(token.parse::<usize>().ok()?);
            let (next, place) = match node.entry(token) {
                Some((key, value)) if value.is_container() => (value, key.place()),
                Some((_, value)) => (value, value.place()),
                None => match item() {
                    Some(item) => (item, item.place()),
                    None => break,
                },
            };
            (node, span) = (next, place);
        }
        Place {
            source: self.file.source.clone(),
            span,
        }
    }
}

/// Every item of a list that was read whole is an entity, so both have the same positions.
fn positions<K: Hash + Eq>(keys: impl Iterator<Item = K>) -> HashMap<K, usize> {
    keys.enumerate().map(|(position, key)| (key, position)).collect()
}

//! Where the entities of a file stand in its text.

use std::{collections::HashMap, hash::Hash};

use flexgate_schemas::{RouteId, UpstreamId, event::Entity};

use super::{super::finding::Place, Loaded, syntax, tree::Node};

/// An index of a file, for messages about what it says.
#[derive(Debug)]
pub struct Places<'a> {
    file: &'a Loaded,
    /// Nothing, should the text with its secrets masked be no YAML any more.
    tree: Option<Node>,
    routes: HashMap<&'a RouteId, usize>,
    upstreams: HashMap<&'a UpstreamId, usize>,
}

impl<'a> Places<'a> {
    pub(super) fn of(file: &'a Loaded) -> Self {
        Self {
            file,
            tree: syntax::parse(&file.source, &file.source.text).ok(),
            routes: positions(file.routes.iter().map(|route| &route.id)),
            upstreams: positions(file.upstreams.iter().map(|upstream| &upstream.name)),
        }
    }

    /// Where an entity stands, or the field of it that a JSON Pointer (RFC 6901) names.
    pub fn find(&self, entity: &Entity, pointer: &str) -> Option<Place> {
        let tree = self.tree.as_ref()?;
        let node = match entity {
            Entity::Route(id) => tree.get("routes")?.items().get(*self.routes.get(id)?)?,
            Entity::Upstream(name) => tree.get("upstreams")?.items().get(*self.upstreams.get(name)?)?,
            Entity::Settings => tree,
            Entity::Log => return None,
        };
        let field = pointer.split('/').nth(1).unwrap_or_default();
        Some(self.field(node, field))
    }

    /// Where a JSON Pointer into the file as a whole points: `/routes/3/upstream`.
    pub fn at(&self, pointer: &str) -> Option<Place> {
        let mut tokens = pointer.split('/').skip(1);
        let list = self.tree.as_ref()?.get(tokens.next()?)?;
        let item = list.items().get(tokens.next()?.parse::<usize>().ok()?)?;
        Some(self.field(item, tokens.next().unwrap_or_default()))
    }

    /// A field of a mapping, or the mapping itself where it has no such field.
    fn field(&self, node: &Node, field: &str) -> Place {
        let span = match node.entry(field) {
            Some((key, value)) if value.is_container() => key.place(),
            Some((_, value)) => value.place(),
            None => node.place(),
        };
        Place {
            source: self.file.source.clone(),
            span,
        }
    }
}

/// Every item of a list that was read whole is an entity, so both have the same positions.
fn positions<'a, K: Hash + Eq>(keys: impl Iterator<Item = &'a K>) -> HashMap<&'a K, usize> {
    keys.enumerate().map(|(position, key)| (key, position)).collect()
}

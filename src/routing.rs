//! The routing table: which route a request takes. Pure: no clock, no I/O, no randomness.
//!
//! Among the enabled routes that fit a request in host, path, method, headers and query, the one with the highest
//! priority wins, then the most specific one; [`specificity::cmp`] has the order in full.

#[cfg(test)]
pub(crate) mod arbitrary;
mod branches;
mod few;
mod fit;
pub mod host;
mod label;
#[cfg(test)]
mod naive;
mod node;
pub mod path;
pub mod rewrite;
mod rules;
pub mod specificity;
pub mod table;
#[cfg(test)]
mod tests;
mod trie;
mod walk;

use std::sync::Arc;

use flexgate_schemas::Route;

pub(crate) use fit::{decoded, fits, fits_decoded, parameters, values_of};
pub use host::{HostRefusal, normalize_host};
pub use path::{NormalPath, PathRefusal, normalize};
pub use rewrite::{PathChange, named_segment};
pub use table::{Found, Table, Target};
pub(crate) use trie::Trie;

/// Something that holds a route, so that the gateway keeps compiled routes and the domain bare ones in the same table.
pub trait Ruled {
    /// The route it holds, the same one for as long as it lives.
    fn route(&self) -> &Route;
}

impl Ruled for Arc<Route> {
    fn route(&self) -> &Route {
        self
    }
}

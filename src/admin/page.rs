//! Lists in pages: all of it, or `?limit=` at a time, each page with a link to the next (RFC 8288).

use std::{borrow::Borrow, num::NonZeroU16, ops::Bound};

use http::HeaderValue;
use schemars::JsonSchema;
use serde::Deserialize;

/// Which part of a list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    /// The most entries to answer with; absent: all of them.
    #[serde(default)]
    limit: Option<NonZeroU16>,
    /// Where the page begins: taken from the `Link` of the page before.
    #[serde(default)]
    cursor: Option<String>,
}

/// A part of a list.
pub(super) struct Page<'a, V> {
    /// Its entries, by id.
    pub(super) entries: Vec<&'a V>,
    /// The value of `Link`, unless this is the last page.
    pub(super) next: Option<HeaderValue>,
}

impl Paging {
    /// Cuts the page out of a map. A cursor is the last id of the page before, so an entity that comes or goes between
    /// two pages neither hides nor doubles another.
    pub(super) fn cut<'a, K, V>(&self, path: &str, map: &'a im::OrdMap<K, V>) -> Page<'a, V>
    where
        K: Ord + Borrow<str>,
    {
        self.cut_to(
            self.limit.map_or(usize::MAX, |limit| limit.get().into()),
            path,
            map,
        )
    }

    /// The same, never longer than this.
    pub(super) fn cut_at_most<'a, K, V>(
        &self,
        most: u16,
        path: &str,
        map: &'a im::OrdMap<K, V>,
    ) -> Page<'a, V>
    where
        K: Ord + Borrow<str>,
    {
        let limit = self.limit.map_or(most, |limit| limit.get().min(most));
        self.cut_to(limit.into(), path, map)
    }

    fn cut_to<'a, K, V>(&self, limit: usize, path: &str, map: &'a im::OrdMap<K, V>) -> Page<'a, V>
    where
        K: Ord + Borrow<str>,
    {
        let after = self.cursor.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = map.range::<_, str>((after, Bound::Unbounded));
        let page: Vec<(&K, &V)> = rest.by_ref().take(limit).collect();
        let last = page
            .last()
            .map(|(id, _)| Borrow::<str>::borrow(*id))
            .filter(|_| rest.next().is_some());
        Page {
            next: last.map(|id| link(path, limit, id)),
            entries: page.into_iter().map(|(_, entry)| entry).collect(),
        }
    }
}

fn link(path: &str, limit: usize, cursor: &str) -> HeaderValue {
    // An id is made of characters that need no escape, neither in a query nor in a header.
    let link = format!("<{path}?limit={limit}&cursor={cursor}>; rel=\"next\"");
    HeaderValue::from_str(&link).expect("visible ASCII")
}

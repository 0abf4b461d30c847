//! Lists in pages: all of it, or `?limit=` at a time, each page with a link to the next (RFC 8288).

use std::{borrow::Borrow, num::NonZeroU16, ops::Bound, str::FromStr};

use http::HeaderValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::Error;

/// How many entries a page of the tables has unless the caller says.
const LIMIT: u16 = 50;
/// The most that it has.
const LIMIT_MAX: u16 = 500;

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

/// Which part of a list in the tables, which is too long to be answered whole.
pub(super) struct Window<C> {
    /// The most entries.
    pub(super) limit: u16,
    /// The last entry of the page before.
    pub(super) after: Option<C>,
}

impl<C: FromStr<Err = &'static str>> Window<C> {
    pub(super) fn of(limit: Option<u16>, cursor: Option<&str>) -> Result<Self, Error> {
        let limit = limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Error::Query(format!("`limit` is 1 to {LIMIT_MAX}")));
        }
        let after = cursor.map(str::parse).transpose();
        let after = after.map_err(|why| Error::Query(format!("`cursor`: {why}")))?;
        Ok(Self { limit, after })
    }

    /// The last entry of a page that may have another one after it.
    pub(super) fn next<'a, T>(&self, found: &'a [T]) -> Option<&'a T> {
        found.last().filter(|_| found.len() == usize::from(self.limit))
    }
}

/// The value of `Link` to the next page, asked for by a query that is flat, of texts and numbers.
pub(super) fn link_to(path: &str, query: &impl Serialize) -> HeaderValue {
    let query = serde_urlencoded::to_string(query).expect("it is flat, of texts and numbers");
    let link = format!("<{path}?{query}>; rel=\"next\"");
    HeaderValue::from_str(&link).expect("a form is written in ASCII")
}

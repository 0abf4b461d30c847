//! Validators and preconditions (RFC 9110 8.8.3, 13.1): an entity's tag is `"<generation>-<revision>"`.

use std::{fmt, str::FromStr};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::error::Error;

/// The version of an entity: where in the log it was last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    /// The history.
    pub(super) generation: u64,
    /// The commit in it.
    pub(super) revision: u64,
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// `*`: any current version.
    Any,
    /// One of these. A tag that is not ours, or is weak where only a strong one counts, is left out: it matches nothing.
    Of(Vec<Tag>),
}

impl Tag {
    /// The value of `ETag`.
    pub(super) fn header(self) -> HeaderValue {
        HeaderValue::from_str(&self.to_string()).expect("digits, a dash and quotes")
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{}-{}\"", self.generation, self.revision)
    }
}

impl FromStr for Tag {
    type Err = ();
    fn from_str(quoted: &str) -> Result<Self, ()> {
        let number = |digits: &str| digits.parse().map_err(|_| ());
        let opaque = quoted
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .ok_or(())?;
        let (generation, revision) = opaque.split_once('-').ok_or(())?;
        Ok(Self {
            generation: number(generation)?,
            revision: number(revision)?,
        })
    }
}

/// Strong comparison, as a write needs it.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<Condition>, Error> {
    condition(headers, &header::IF_MATCH, |tag| {
        (!tag.starts_with("W/")).then_some(tag)
    })
}

/// Weak comparison, as a cache needs it.
pub(super) fn if_none_match(headers: &HeaderMap) -> Result<Option<Condition>, Error> {
    condition(headers, &header::IF_NONE_MATCH, |tag| {
        Some(tag.trim_start_matches("W/"))
    })
}

fn condition(
    headers: &HeaderMap,
    name: &HeaderName,
    comparable: fn(&str) -> Option<&str>,
) -> Result<Option<Condition>, Error> {
    let syntax = || Error::Header {
        name: name.clone(),
        expected: "`*`, or entity tags in quotes with commas between them, as `ETag` had them",
    };
    let mut tags = Vec::new();
    for field in headers.get_all(name) {
        let field = field.to_str().map_err(|_| syntax())?;
        if field.trim() == "*" {
            return Ok(Some(Condition::Any));
        }
        // No comma can be inside a tag of ours, and a foreign one matches nothing anyway.
        for tag in field.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            let quoted = tag.trim_start_matches("W/");
            if quoted.len() < 2 || !quoted.starts_with('"') || !quoted.ends_with('"') {
                return Err(syntax());
            }
            tags.extend(comparable(tag).and_then(|tag| tag.parse::<Tag>().ok()));
        }
    }
    Ok(headers.contains_key(name).then_some(Condition::Of(tags)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(revisions: &[u64]) -> Condition {
        let tag = |&revision| Tag {
            generation: 1,
            revision,
        };
        Condition::Of(revisions.iter().map(tag).collect())
    }

    #[test]
    fn if_match_takes_a_star_a_tag_or_a_list_of_strong_ones() {
        let check = |value: &'static str, expected: Option<Condition>| {
            let headers = HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_static(value))]);
            assert_eq!(if_match(&headers).ok().flatten(), expected, "{value}");
        };
        check("*", Some(Condition::Any));
        check("\"1-7\"", Some(of(&[7])));
        check("\"1-7\", \"1-9\"", Some(of(&[7, 9])));
        check("W/\"1-7\"", Some(of(&[])));
        check("\"of another server\"", Some(of(&[])));
        check("1-7", None);
        check("\"", None);
    }

    #[test]
    fn if_none_match_does_not_mind_weakness() {
        let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static("W/\"1-7\""))]);
        assert_eq!(if_none_match(&headers).unwrap(), Some(of(&[7])));
        assert_eq!(if_none_match(&HeaderMap::new()).unwrap(), None);
    }
}

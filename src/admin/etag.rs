//! Validators and preconditions (RFC 9110 8.8.3, 13.1): an entity's tag is `"<generation>-<revision>"`.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{error::Error, place::Place};

/// The value of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// `*`: any current version.
    Any,
    /// One of these. A tag that is not ours, or is weak where only a strong one counts, is left out: it matches nothing.
    Of(Vec<Place>),
}

/// The value of `ETag` for an entity that was last changed there.
pub(super) fn header(place: Place) -> HeaderValue {
    HeaderValue::try_from(format!("\"{place}\"")).expect("digits, a dash and quotes")
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
    let mut places = Vec::new();
    for field in headers.get_all(name) {
        let field = field.to_str().map_err(|_| syntax())?;
        if field.trim() == "*" {
            return Ok(Some(Condition::Any));
        }
        // No comma can be inside a tag of ours, and a foreign one matches nothing anyway.
        for tag in field.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            unquoted(tag.trim_start_matches("W/")).ok_or_else(syntax)?;
            places.extend(
                comparable(tag)
                    .and_then(unquoted)
                    .and_then(|place| place.parse::<Place>().ok()),
            );
        }
    }
    Ok(headers.contains_key(name).then_some(Condition::Of(places)))
}

fn unquoted(tag: &str) -> Option<&str> {
    tag.strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(revisions: &[u64]) -> Condition {
        let place = |&revision| Place {
            generation: 1,
            revision,
        };
        Condition::Of(revisions.iter().map(place).collect())
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

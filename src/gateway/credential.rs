//! Where a credential stands in a request.

use flexgate_schemas::key::secret;
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

use super::look::{Field, Look};

/// What a request has to show.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credential<'h> {
    /// Nothing that is for us.
    None,
    /// What may be an API key.
    Key(&'h [u8]),
    /// More than one: whoever has added the other, it is not clear which of them is meant.
    Several,
}

/// Finds it: in the field for API keys, else as a bearer token that looks like one of ours. Other tokens are the upstream's.
pub(super) fn of<'h>(headers: &'h HeaderMap, look: Look, field: &HeaderName) -> Credential<'h> {
    match only(headers.get_all(field).iter().map(HeaderValue::as_bytes)) {
        Credential::None if look.has(Field::Authorization) => only(bearers(headers)),
        found => found,
    }
}

fn only<'h>(mut found: impl Iterator<Item = &'h [u8]>) -> Credential<'h> {
    match (found.next(), found.next()) {
        (None, _) => Credential::None,
        (Some(only), None) => Credential::Key(only),
        (Some(_), Some(_)) => Credential::Several,
    }
}

/// Our own tokens among those of `Authorization: Bearer` (RFC 6750 2.1).
fn bearers(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes);
    lines
        .filter_map(|line| {
            let (scheme, token) = line.split_at_checked("bearer ".len())?;
            scheme
                .eq_ignore_ascii_case(b"bearer ")
                .then(|| token.trim_ascii())
        })
        .filter(|token| secret::is_ours(token))
}

/// Takes it out, wherever it is.
pub(super) fn strip(headers: &mut HeaderMap, look: Look, field: &HeaderName) {
    headers.remove(field);
    if look.has(Field::Authorization) && bearers(headers).next().is_some() {
        headers.remove(AUTHORIZATION);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELD: HeaderName = HeaderName::from_static("x-api-key");

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_credential_is_found_where_it_may_be_and_nowhere_else() {
        let check = |lines: &[(&'static str, &str)], expected: Credential<'_>| {
            let headers = headers(lines);
            assert_eq!(of(&headers, Look::at(&headers), &FIELD), expected, "{lines:?}");
        };
        check(&[], Credential::None);
        check(&[("x-api-key", "a")], Credential::Key(b"a"));
        check(&[("x-api-key", "")], Credential::Key(b""));
        check(&[("x-api-key", "a"), ("x-api-key", "a")], Credential::Several);
        check(&[("authorization", "Bearer fg_a")], Credential::Key(b"fg_a"));
        check(&[("authorization", "bEARER   fg_a")], Credential::Key(b"fg_a"));
        check(&[("authorization", "Bearer eyJ.e30.x")], Credential::None);
        check(&[("authorization", "Basic fg_a")], Credential::None);
        check(&[("authorization", "fg_a")], Credential::None);
        check(
            &[("authorization", "Bearer fg_a"), ("authorization", "Bearer fg_b")],
            Credential::Several,
        );
        check(
            &[("x-api-key", "a"), ("authorization", "Bearer fg_b")],
            Credential::Key(b"a"),
        );
        check(&[("x-other-key", "a")], Credential::None);
    }

    #[test]
    fn what_is_ours_goes_no_further_and_what_is_the_upstreams_does() {
        let check = |lines: &[(&'static str, &str)], left: usize| {
            let mut headers = headers(lines);
            let look = Look::at(&headers);
            strip(&mut headers, look, &FIELD);
            assert_eq!(headers.len(), left, "{lines:?}");
        };
        check(&[("x-api-key", "a"), ("x-api-key", "b")], 0);
        check(&[("x-api-key", "a"), ("authorization", "Bearer fg_b")], 0);
        check(&[("x-api-key", "a"), ("authorization", "Bearer eyJ.e30.x")], 1);
        check(&[("authorization", "Basic YTpi")], 1);
    }
}

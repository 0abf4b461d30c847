//! Where a credential stands in a request.

use flexgate_schemas::{key::secret, policy::CredentialKind};
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

use super::{
    basic,
    look::{Field, Look},
    signature,
};

/// What a request has to show.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credential<'h> {
    /// Nothing that is for us.
    None,
    /// What may be an API key.
    Key(&'h [u8]),
    /// What a client says of its signature.
    Signature(&'h [u8]),
    /// What may be a user name and a password.
    Basic(&'h [u8]),
    /// What may be a token of a provider.
    Token(&'h str),
    /// More than one: whoever has added the other, it is not clear which of them is meant.
    Several,
}

impl Credential<'_> {
    /// What a route may take or not, as far as it is clear.
    pub(super) fn kind(&self) -> Option<CredentialKind> {
        match self {
            Self::None | Self::Several => None,
            Self::Key(_) => Some(CredentialKind::ApiKey),
            Self::Signature(_) => Some(CredentialKind::Signature),
            Self::Basic(_) => Some(CredentialKind::Basic),
            Self::Token(_) => Some(CredentialKind::Jwt),
        }
    }
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'s> {
    /// The field for API keys.
    pub(super) field: &'s HeaderName,
    /// Whether somebody may vouch for clients with tokens. If not, those that are not ours are the upstream's.
    pub(super) tokens: bool,
    /// Whether some keys have user names. If not, those are the upstream's.
    pub(super) names: bool,
}

impl Wanted<'_> {
    /// Finds it: in the field for API keys, else in `Authorization`.
    pub(super) fn in_request(self, headers: &HeaderMap, look: Look) -> Credential<'_> {
        let keys = headers.get_all(self.field).iter();
        match only(keys.map(|value| Credential::Key(value.as_bytes()))) {
            Credential::None if look.has(Field::Authorization) => only(self.authorizations(headers)),
            found => found,
        }
    }

    /// Takes it out, wherever it is.
    pub(super) fn strip(self, headers: &mut HeaderMap, look: Look) {
        headers.remove(self.field);
        if look.has(Field::Authorization) && self.authorizations(headers).next().is_some() {
            headers.remove(AUTHORIZATION);
        }
    }

    /// What is for us in `Authorization`.
    fn authorizations(self, headers: &HeaderMap) -> impl Iterator<Item = Credential<'_>> {
        let lines = headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes);
        lines.filter_map(move |line| {
            let space = line.iter().position(|byte| *byte == b' ')?;
            let (scheme, rest) = line.split_at(space);
            let rest = rest.trim_ascii();
            if scheme.eq_ignore_ascii_case(b"bearer") {
                return self.bearer(rest);
            }
            if self.names && scheme.eq_ignore_ascii_case(basic::SCHEME.as_bytes()) {
                return Some(Credential::Basic(rest));
            }
            let is_signature = scheme.eq_ignore_ascii_case(signature::SCHEME.as_bytes());
            is_signature.then_some(Credential::Signature(rest))
        })
    }

    /// A bearer token (RFC 6750 2.1): one of ours, or one of a provider, which has three parts (RFC 7515 3.1).
    fn bearer(self, token: &[u8]) -> Option<Credential<'_>> {
        if secret::is_ours(token) {
            return Some(Credential::Key(token));
        }
        let text = str::from_utf8(token).ok().filter(|_| self.tokens)?;
        (text.split('.').count() == 3).then_some(Credential::Token(text))
    }
}

fn only<'h>(mut found: impl Iterator<Item = Credential<'h>>) -> Credential<'h> {
    match (found.next(), found.next()) {
        (None, _) => Credential::None,
        (Some(only), None) => only,
        (Some(_), Some(_)) => Credential::Several,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::headers::tests::headers;

    static FIELD: HeaderName = HeaderName::from_static("x-api-key");
    static WANTED: Wanted<'_> = Wanted {
        field: &FIELD,
        tokens: false,
        names: false,
    };
    const WITH_TOKENS: Wanted<'_> = Wanted {
        tokens: true,
        ..WANTED
    };

    #[test]
    fn a_credential_is_found_where_it_may_be_and_nowhere_else() {
        let check = |lines: &[(&str, &str)], expected: Credential<'_>| {
            let headers = headers(lines);
            let found = WANTED.in_request(&headers, Look::at(&headers));
            assert_eq!(found, expected, "{lines:?}");
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
        let check = |lines: &[(&str, &str)], left: usize| {
            let mut headers = headers(lines);
            let look = Look::at(&headers);
            WANTED.strip(&mut headers, look);
            assert_eq!(headers.len(), left, "{lines:?}");
        };
        check(&[("x-api-key", "a"), ("x-api-key", "b")], 0);
        check(&[("x-api-key", "a"), ("authorization", "Bearer fg_b")], 0);
        check(&[("x-api-key", "a"), ("authorization", "Bearer eyJ.e30.x")], 1);
        check(&[("authorization", "Basic YTpi")], 1);
    }

    #[test]
    fn a_token_is_a_credential_where_somebody_vouches_with_tokens() {
        let check = |line: &str, expected: Credential<'_>| {
            let headers = headers(&[("authorization", line)]);
            let look = Look::at(&headers);
            assert_eq!(WITH_TOKENS.in_request(&headers, look), expected, "{line}");
            let mut stripped = headers.clone();
            WITH_TOKENS.strip(&mut stripped, look);
            assert_eq!(stripped.is_empty(), expected != Credential::None, "{line}");
        };
        check("Bearer eyJ.e30.x", Credential::Token("eyJ.e30.x"));
        check("bearer  .. ", Credential::Token(".."));
        check("Bearer fg_a.b.c", Credential::Key(b"fg_a.b.c"));
        check("Bearer opaque", Credential::None);
        check("Bearer a.b.c.d.e", Credential::None);
        check("DPoP eyJ.e30.x", Credential::None);
    }
}

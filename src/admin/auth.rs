//! Who may use the API: whoever has the token.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use flexgate_schemas::{
    chain::sha256,
    commit::{Actor, ActorKind},
};
use http::{HeaderMap, header::AUTHORIZATION};

use super::{Shared, error::Error};

/// The admin token: only its digest, and words on where a person finds it.
#[derive(Clone)]
pub struct Token {
    digest: [u8; 32],
    found_in: Box<str>,
}

impl Token {
    /// A token, and where it is found, as the end of a sentence: `FLEXGATE_ADMIN_TOKEN`, `the file .flexgate/token`.
    /// Everybody may read the latter.
    pub fn new(token: &str, found_in: &str) -> Self {
        Self {
            digest: sha256(token.as_bytes()),
            found_in: found_in.into(),
        }
    }

    /// Whoever has the token.
    pub(super) fn holder() -> Actor {
        Actor {
            kind: ActorKind::Token,
            id: "admin".into(),
        }
    }

    /// Compares digests, in constant time: how much of a guess was right can't be told.
    fn check(&self, headers: &HeaderMap) -> Result<(), Error> {
        let Some(sent) = bearer(headers) else {
            return Err(Error::NoToken {
                found_in: self.found_in.clone(),
            });
        };
        verify_slices_are_equal(&sha256(sent), &self.digest).map_err(|_| Error::WrongToken {
            found_in: self.found_in.clone(),
        })
    }
}

/// The credentials of RFC 6750 2.1; the name of a scheme has no case (RFC 9110 11.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let field = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, credentials) = field.split_at_checked("bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| credentials.trim_ascii())
}

/// Lets nobody pass without the token, except to resources that say so and to where nothing is outside of `/api`.
pub(super) async fn guard(State(admin): State<Shared>, request: Request, next: Next) -> Response {
    let open = match request.extensions().get::<MatchedPath>() {
        Some(resource) => admin.open.contains(resource.as_str()),
        None => !request.uri().path().starts_with("/api"),
    };
    let checked = if open {
        Ok(())
    } else {
        admin.token.check(request.headers())
    };
    match checked {
        Ok(()) if open => next.run(request).await,
        Ok(()) => {
            let mut response = next.run(request).await;
            response.extensions_mut().insert(Token::holder());
            response
        }
        Err(error) => error.into_response(),
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Token")
            .field("found_in", &self.found_in)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_token_itself_opens() {
        let token = Token::new("s3cret", "a drawer");
        let check = |field: &'static str, opens: bool| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(field))]);
            assert_eq!(token.check(&headers).is_ok(), opens, "{field}");
        };
        check("Bearer s3cret", true);
        check("bearer  s3cret ", true);
        check("Bearer s3cre", false);
        check("Bearer ", false);
        check("Bearer", false);
        check("Basic s3cret", false);
        check("s3cret", false);
        assert!(token.check(&HeaderMap::new()).is_err());
    }

    #[test]
    fn a_token_is_not_printed() {
        let printed = format!("{:?}", Token::new("s3cret", "a drawer"));
        assert!(
            !printed.contains("s3cret") && !printed.contains("digest"),
            "{printed}"
        );
    }
}

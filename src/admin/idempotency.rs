//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): a repeated request gets the first one's answer.
//!
//! The log remembers keys; here are the header, the hash that tells two requests apart, and the requests in flight.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::digest::{Context, SHA256};
use flexgate_schemas::{chain::hex, commit::Idempotency};
use http::{HeaderMap, HeaderName, Method, Uri};

use super::error::Error;

/// The header.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest key, in characters.
const KEY_MAX: usize = 255;

/// The key of a request, and the hash of what it was used for.
pub(super) fn of(
    headers: &HeaderMap,
    method: &Method,
    target: &Uri,
    body: &[u8],
) -> Result<Option<Idempotency>, Error> {
    let mut fields = headers.get_all(KEY).iter();
    let key = match (fields.next(), fields.next()) {
        (None, _) => return Ok(None),
        (Some(field), None) => field.to_str().ok().and_then(structured_string),
        (Some(_), Some(_)) => None,
    };
    let key = key
        .filter(|key| (1..=KEY_MAX).contains(&key.len()))
        .ok_or(Error::Header {
            name: KEY,
            expected: "one string in quotes, 1 to 255 characters: `Idempotency-Key: \"8e03978e\"`",
        })?;
    let request_hash = request_hash(method, target, body).into();
    Ok(Some(Idempotency {
        key: key.into(),
        request_hash,
    }))
}

/// A String of RFC 8941 3.3.3, without parameters.
fn structured_string(field: &str) -> Option<String> {
    let mut characters = field.trim_matches(' ').strip_prefix('"')?.chars();
    let mut string = String::new();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(string),
            '\\' => string.push(
                characters
                    .next()
                    .filter(|escaped| matches!(escaped, '"' | '\\'))?,
            ),
            character @ ' '..='~' => string.push(character),
            _ => return None,
        }
    }
}

/// SHA-256 over method, target and body, with the lengths that keep them apart.
fn request_hash(method: &Method, target: &Uri, body: &[u8]) -> String {
    let target = target.path_and_query().map_or("/", |target| target.as_str());
    let mut context = Context::new(&SHA256);
    for part in [method.as_str().as_bytes(), target.as_bytes(), body] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    hex(context.finish().as_ref())
}

/// The keys whose requests this process is working on: at most as many as it has connections.
#[derive(Debug, Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<HashSet<Box<str>>>>);

/// Holds a key until the request is answered.
#[derive(Debug)]
pub(super) struct Held {
    keys: InFlight,
    key: Box<str>,
}

impl InFlight {
    /// Takes a key, unless a request in flight has it.
    pub(super) fn hold(&self, key: &str) -> Result<Held, Error> {
        let taken = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.into());
        if !taken {
            return Err(Error::KeyInFlight);
        }
        Ok(Held {
            keys: self.clone(),
            key: key.into(),
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.keys
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_structured_string() {
        let check =
            |field, key: Option<&str>| assert_eq!(structured_string(field).as_deref(), key, "{field}");
        check(r#""8e03978e-40d5""#, Some("8e03978e-40d5"));
        check(r#" "a b" "#, Some("a b"));
        check(r#""say \"hi\" \\""#, Some(r#"say "hi" \"#));
        check(r#""""#, Some(""));
        check("8e03978e", None);
        check(r#""open"#, None);
        check(r#""a"b"#, None);
        check(r#""a";version=2"#, None);
        check(r#""\n""#, None);
        check("\"tab\t\"", None);
    }

    #[test]
    fn two_requests_have_the_same_hash_only_when_they_are_the_same() {
        let hash = |method: Method, target: &'static str, body: &str| {
            request_hash(&method, &Uri::from_static(target), body.as_bytes())
        };
        let one = hash(Method::PUT, "/api/routes/a", "{}");
        assert_eq!(one, hash(Method::PUT, "/api/routes/a", "{}"));
        assert_ne!(one, hash(Method::POST, "/api/routes/a", "{}"));
        assert_ne!(one, hash(Method::PUT, "/api/routes/a?wait=nodes", "{}"));
        assert_ne!(one, hash(Method::PUT, "/api/routes/", "a{}"));
    }

    #[test]
    fn a_key_is_held_until_its_request_is_answered() {
        let keys = InFlight::default();
        let held = keys.hold("a").unwrap();
        assert!(matches!(keys.hold("a"), Err(Error::KeyInFlight)));
        assert!(keys.hold("b").is_ok());
        drop(held);
        assert!(keys.hold("a").is_ok());
    }
}

//! The headers and query parameters that some route matches on. What a request has of them is recorded with it, so that
//! later it can be asked which route would have taken it.

use std::{borrow::Cow, collections::BTreeMap, hash::Hash};

use flexgate_schemas::Matchers;
use http::{HeaderMap, HeaderName};
use im::hashmap::Entry;
use serde::{Serialize, Serializer};

use crate::routing;

/// Names of headers and query parameters that are never recorded, whoever matches on them: their values open doors. In
/// lower case; the case of a parameter does not matter here.
const CREDENTIALS: &[&str] = &[
    "access_token",
    "api-key",
    "api_key",
    "apikey",
    "auth",
    "authorization",
    "client_secret",
    "code",
    "cookie",
    "id_token",
    "key",
    "ocp-apim-subscription-key",
    "passwd",
    "password",
    "private-token",
    "proxy-authorization",
    "refresh_token",
    "secret",
    "set-cookie",
    "sig",
    "signature",
    "token",
    "x-access-token",
    "x-amz-security-token",
    "x-amz-signature",
    "x-api-key",
    "x-api-token",
    "x-auth-token",
    "x-csrf-token",
    "x-forwarded-access-token",
    "x-goog-signature",
    "x-vault-token",
    "x-xsrf-token",
];

/// The most values of each kind that are recorded of one request.
const VALUES_MAX: usize = 12;
/// The most bytes of each.
const VALUE_BYTES_MAX: usize = 128;

/// How many predicates there are on each name, in all the routes of a snapshot. A clone shares everything with its
/// original, and a change copies microseconds' worth of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Matched {
    headers: im::HashMap<HeaderName, usize>,
    parameters: im::HashMap<Box<str>, usize>,
}

impl Matched {
    /// A route is there that matches on these.
    pub(super) fn add(&mut self, matchers: &Matchers) {
        for name in header_names(matchers) {
            *self.headers.entry(name.clone()).or_insert(0) += 1;
        }
        for name in parameter_names(matchers) {
            *self.parameters.entry(name.into()).or_insert(0) += 1;
        }
    }

    /// A route that was added is gone.
    pub(super) fn remove(&mut self, matchers: &Matchers) {
        for name in header_names(matchers) {
            uncount(&mut self.headers, name.clone());
        }
        for name in parameter_names(matchers) {
            uncount(&mut self.parameters, name.into());
        }
    }

    /// What a request has under these names, as JSON: `{"header": {"x-a": "1"}, "query": {"v": ["1", "2"]}}`. `None` if it
    /// has nothing. `credential` is the field for API keys, which is never recorded.
    pub(super) fn of(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        credential: &HeaderName,
    ) -> Option<Box<str>> {
        if self.headers.is_empty() && self.parameters.is_empty() {
            return None;
        }
        let lines = headers
            .iter()
            .filter(|(name, _)| self.headers.contains_key(*name) && *name != credential)
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())));
        let parameters = routing::parameters(query.unwrap_or_default())
            .filter(|_| !self.parameters.is_empty())
            .map(|(name, value)| (decoded(name), value))
            .filter(|(name, _)| self.parameters.contains_key(&**name))
            .map(|(name, value)| (name, decoded(value)));
        let found = Found {
            header: gathered(lines),
            query: gathered(parameters),
        };
        if found.header.is_empty() && found.query.is_empty() {
            return None;
        }
        let json = serde_json::to_string(&found).expect("maps of strings");
        Some(json.into())
    }
}

/// The names in these that may be recorded.
fn header_names(matchers: &Matchers) -> impl Iterator<Item = &HeaderName> {
    let names = matchers.headers().iter().map(|header| header.name.as_header());
    names.filter(|name| !is_credential(name.as_str()))
}

fn parameter_names(matchers: &Matchers) -> impl Iterator<Item = &str> {
    let names = matchers.query().iter().map(|parameter| parameter.name.as_str());
    names.filter(|name| !is_credential(name))
}

fn is_credential(name: &str) -> bool {
    CREDENTIALS.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn uncount<K: Hash + Eq + Clone>(counts: &mut im::HashMap<K, usize>, name: K) {
    if let Entry::Occupied(mut entry) = counts.entry(name) {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

/// What a request has.
#[derive(Serialize)]
struct Found<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    header: BTreeMap<&'a str, Values<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query: BTreeMap<Cow<'a, str>, Values<'a>>,
}

/// The values under one name: a string as a rule, a list if there are several.
#[derive(Default)]
struct Values<'a>(Vec<Cow<'a, str>>);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &*self.0 {
            [only] => only.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

fn gathered<'a, K: Ord>(found: impl Iterator<Item = (K, Cow<'a, str>)>) -> BTreeMap<K, Values<'a>> {
    let mut gathered = BTreeMap::<K, Values<'a>>::new();
    for (name, value) in found.take(VALUES_MAX) {
        gathered.entry(name).or_default().0.push(shortened(value));
    }
    gathered
}

/// The beginning of a long value.
fn shortened(value: Cow<'_, str>) -> Cow<'_, str> {
    let end = value.floor_char_boundary(VALUE_BYTES_MAX);
    match value {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

/// A name or a value of a query as routes compare it. What is no text in it, or a NUL, which no database takes, becomes a
/// replacement character.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let bytes: Vec<u8> = routing::decoded(text).collect();
    let text = String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}");
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::headers::tests::headers;

    const KEY: HeaderName = HeaderName::from_static("x-api-key");

    fn matchers(json: &str) -> Matchers {
        serde_json::from_str(json).unwrap()
    }

    fn matched(json: &str) -> Matched {
        let mut matched = Matched::default();
        matched.add(&matchers(json));
        matched
    }

    #[test]
    fn the_values_that_routes_match_on_are_found_and_no_others() {
        let matched = matched(r#"{"headers":[{"name":"x-a"}],"query":[{"name":"v w"}]}"#);
        let sent = headers(&[("x-a", "1"), ("x-b", "2")]);
        let found = |headers: &HeaderMap, query| matched.of(headers, query, &KEY);
        assert_eq!(
            found(&sent, Some("a=1&v+w=%32&v%20w&b")).as_deref(),
            Some(r#"{"header":{"x-a":"1"},"query":{"v w":["2",""]}}"#)
        );
        assert_eq!(found(&sent, None).as_deref(), Some(r#"{"header":{"x-a":"1"}}"#));
        assert_eq!(
            found(&headers(&[("x-a", "1"), ("x-a", "2")]), None).as_deref(),
            Some(r#"{"header":{"x-a":["1","2"]}}"#)
        );
        assert_eq!(found(&HeaderMap::new(), Some("x-a=1")), None);
    }

    #[test]
    fn credentials_are_never_found_whoever_matches_on_them() {
        let matched = matched(
            r#"{"headers":[{"name":"Authorization"},{"name":"Cookie"},{"name":"X-API-Key"}],
                "query":[{"name":"token"},{"name":"Api_Key"}]}"#,
        );
        let sent = headers(&[
            ("authorization", "Bearer s3cret"),
            ("cookie", "s3cret"),
            ("x-api-key", "s3cret"),
        ]);
        assert_eq!(matched.of(&sent, Some("token=s3cret&Api_Key=s3cret"), &KEY), None);
    }

    #[test]
    fn a_name_is_looked_for_as_long_as_one_predicate_is_left() {
        let json =
            r#"{"headers":[{"name":"x-a","value":"1"},{"name":"x-a","value":"2"}],"query":[{"name":"v"}]}"#;
        let mut matched = matched(json);
        let sent = headers(&[("x-a", "1")]);
        matched.add(&matchers(r#"{"headers":[{"name":"x-a"}]}"#));
        matched.remove(&matchers(json));
        assert!(matched.of(&sent, None, &KEY).is_some() && matched.of(&sent, Some("v=1"), &KEY).is_some());
        matched.remove(&matchers(r#"{"headers":[{"name":"x-a"}]}"#));
        assert!(matched.headers.is_empty() && matched.parameters.is_empty());
    }

    #[test]
    fn what_is_found_is_text_of_bounded_length() {
        let matched = matched(r#"{"query":[{"name":"v"}]}"#);
        let none = HeaderMap::new();
        assert_eq!(
            matched.of(&none, Some("v=%00%ff"), &KEY).as_deref(),
            Some("{\"query\":{\"v\":\"\u{fffd}\u{fffd}\"}}")
        );
        let many = "v=".to_owned() + &"x".repeat(1000) + "&v".repeat(1000).as_str();
        assert!(matched.of(&none, Some(&many), &KEY).unwrap().len() < 400);
    }
}

//! What else than host, path pattern and method a route may ask of a request.

use std::{fmt, str::FromStr};

use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::whole_regex::{PathRegex, WholeRegex};

/// The most predicates of one kind a route may have.
pub const PREDICATES_MAX: usize = 16;

/// Predicates on the path, headers and query parameters. All must hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Unordered")]
pub struct Matchers {
    /// What the path must match beside the route's pattern.
    #[serde(rename = "pathRegex", skip_serializing_if = "Option::is_none")]
    path: Option<PathRegex>,
    /// Header fields, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<HeaderMatcher>,
    /// Query parameters, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    query: Vec<QueryMatcher>,
}

crate::rare::usual!(Matchers);

/// Something that must be there, with such a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written<N>", into = "Written<N>")]
#[serde(bound(serialize = "N: Serialize + Clone", deserialize = "N: Deserialize<'de>"))]
#[schemars(with = "Written<N>", rename = "{N}Predicate")]
pub struct Predicate<N> {
    /// What must be there.
    pub name: N,
    /// With which value.
    pub wanted: Wanted,
}

/// The value that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wanted {
    /// Any.
    Any,
    /// This one.
    Exactly(Box<str>),
    /// One that matches.
    Matching(WholeRegex),
}

/// A [`Predicate`] as it is written.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Predicate", deny_unknown_fields)]
#[schemars(rename = "{N}Predicate")]
struct Written<N> {
    /// What must be there.
    name: N,
    /// The value it must have; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<Box<str>>,
    /// What its whole value must match, instead of a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    regex: Option<WholeRegex>,
}

impl<N> TryFrom<Written<N>> for Predicate<N> {
    type Error = &'static str;
    fn try_from(Written { name, value, regex }: Written<N>) -> Result<Self, &'static str> {
        let wanted = match (value, regex) {
            (None, None) => Wanted::Any,
            (Some(value), None) => Wanted::Exactly(value),
            (None, Some(regex)) => Wanted::Matching(regex),
            (Some(_), Some(_)) => return Err("`value` and `regex` exclude each other"),
        };
        Ok(Self { name, wanted })
    }
}

impl<N> From<Predicate<N>> for Written<N> {
    fn from(Predicate { name, wanted }: Predicate<N>) -> Self {
        let (value, regex) = match wanted {
            Wanted::Any => (None, None),
            Wanted::Exactly(value) => (Some(value), None),
            Wanted::Matching(regex) => (None, Some(regex)),
        };
        Self { name, value, regex }
    }
}

/// A header field; one of its lines must have the value.
pub type HeaderMatcher = Predicate<FieldName>;

/// A query parameter; name and value are compared percent-decoded, case matters.
pub type QueryMatcher = Predicate<ParameterName>;

impl<N: PartialEq> Predicate<N> {
    /// Whether whatever fits this fits `other` too.
    fn implies(&self, other: &Self) -> bool {
        self.name == other.name
            && match (&self.wanted, &other.wanted) {
                (_, Wanted::Any) => true,
                (Wanted::Exactly(value), Wanted::Matching(regex)) => regex.is_match(value.as_bytes()),
                (mine, theirs) => mine == theirs,
            }
    }
}

/// The name of a query parameter, percent-decoded and not empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParameterName(Box<str>);

impl ParameterName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ParameterName {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            Err("a query parameter needs a name")
        } else {
            Ok(Self(text.into()))
        }
    }
}

impl fmt::Display for ParameterName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

text_value!(ParameterName, "the name of a query parameter", "^.+$");

/// A header field's name (RFC 9110 5.1), in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldName(HeaderName);

impl FieldName {
    /// As the `http` crate's type.
    pub fn as_header(&self) -> &HeaderName {
        &self.0
    }
}

impl PartialOrd for FieldName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FieldName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_str().cmp(other.0.as_str())
    }
}

impl FromStr for FieldName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        HeaderName::from_str(text)
            .map(Self)
            .map_err(|_| format!("{text:?} is not the name of a header field"))
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0.as_str())
    }
}

text_value!(
    FieldName,
    "the name of a header field",
    "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
);

impl Matchers {
    /// No predicate: every request fits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many predicates there are.
    pub fn len(&self) -> usize {
        usize::from(self.path.is_some()) + self.headers.len() + self.query.len()
    }

    /// What the path must match beside the route's pattern.
    pub fn path(&self) -> Option<&PathRegex> {
        self.path.as_ref()
    }

    /// The values that are asked for, of headers and parameters.
    pub fn wanted(&self) -> impl Iterator<Item = &Wanted> {
        let headers = self.headers.iter().map(|header| &header.wanted);
        headers.chain(self.query.iter().map(|parameter| &parameter.wanted))
    }

    /// Whether there is a regular expression among them.
    pub fn have_regex(&self) -> bool {
        self.path.is_some() || self.wanted().any(|wanted| matches!(wanted, Wanted::Matching(_)))
    }

    /// The header predicates, in a fixed order.
    pub fn headers(&self) -> &[HeaderMatcher] {
        &self.headers
    }

    /// The query predicates, in a fixed order.
    pub fn query(&self) -> &[QueryMatcher] {
        &self.query
    }

    /// Whether every request that fits `other` fits here too: each predicate here is implied by one there.
    pub fn covers(&self, other: &Self) -> bool {
        (self.path.is_none() || self.path == other.path)
            && self
                .headers
                .iter()
                .all(|mine| other.headers.iter().any(|theirs| theirs.implies(mine)))
            && self
                .query
                .iter()
                .all(|mine| other.query.iter().any(|theirs| theirs.implies(mine)))
    }
}

/// [`Matchers`] as somebody wrote them: in any order, perhaps twice, perhaps too many.
#[derive(Deserialize, JsonSchema)]
#[serde(rename = "Matchers", deny_unknown_fields)]
struct Unordered {
    /// A regular expression that the whole path matches.
    #[serde(default, rename = "pathRegex")]
    path: Option<PathRegex>,
    /// Header fields that must be there.
    #[serde(default)]
    #[schemars(length(max = 16))]
    headers: Vec<HeaderMatcher>,
    /// Query parameters that must be there.
    #[serde(default)]
    #[schemars(length(max = 16))]
    query: Vec<QueryMatcher>,
}

impl TryFrom<Unordered> for Matchers {
    type Error = String;
    fn try_from(
        Unordered {
            path,
            mut headers,
            mut query,
        }: Unordered,
    ) -> Result<Self, String> {
        if headers.len() > PREDICATES_MAX || query.len() > PREDICATES_MAX {
            return Err(format!(
                "at most {PREDICATES_MAX} header and {PREDICATES_MAX} query predicates"
            ));
        }
        headers.sort();
        headers.dedup();
        query.sort();
        query.dedup();
        Ok(Self { path, headers, query })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matchers(json: &str) -> Matchers {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_order_in_which_predicates_are_written_does_not_matter() {
        assert_eq!(
            matchers(r#"{"headers":[{"name":"X-B"},{"name":"x-a","value":"1"}]}"#),
            matchers(r#"{"headers":[{"name":"x-a","value":"1"},{"name":"x-b"}]}"#)
        );
    }

    #[test]
    fn fewer_or_looser_predicates_cover_more() {
        let present = matchers(r#"{"headers":[{"name":"x"}]}"#);
        let exact = matchers(r#"{"headers":[{"name":"x","value":"1"}]}"#);
        assert!(present.covers(&exact) && !exact.covers(&present));
        assert!(Matchers::default().covers(&exact) && !present.covers(&Matchers::default()));
        let path = matchers(r#"{"pathRegex":"/a.*"}"#);
        assert!(Matchers::default().covers(&path) && path.covers(&path));
        assert!(
            !path.covers(&matchers(r#"{"pathRegex":"/ab"}"#)),
            "which would have to be proven"
        );
    }

    #[test]
    fn an_expression_covers_the_values_that_match_it() {
        let one_of = matchers(r#"{"headers":[{"name":"x","regex":"1|2"}]}"#);
        let exact = |value: &str| matchers(&format!(r#"{{"headers":[{{"name":"x","value":"{value}"}}]}}"#));
        assert!(one_of.covers(&exact("1")) && !one_of.covers(&exact("3")));
        assert!(one_of.covers(&one_of) && !exact("1").covers(&one_of));
        assert!(matchers(r#"{"headers":[{"name":"x"}]}"#).covers(&one_of));
    }

    #[test]
    fn a_value_is_exact_or_matches_an_expression() {
        let json = r#"{"headers":[{"name":"x","value":"1"}],"query":[{"name":"y","regex":"[0-9]+"}]}"#;
        assert_eq!(serde_json::to_string(&matchers(json)).unwrap(), json);
        let both = r#"{"headers":[{"name":"x","value":"1","regex":"1"}]}"#;
        let error = serde_json::from_str::<Matchers>(both).unwrap_err();
        assert!(error.to_string().contains("exclude each other"), "{error}");
    }
}

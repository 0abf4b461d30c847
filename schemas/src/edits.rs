//! Edits of things that have a name and a value: what is removed, set and added.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    hash::Hash,
    str::FromStr,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    PathPattern, ValueTemplate,
    matchers::{FieldName, ParameterName},
    recording::is_default,
    variable::Variable,
};

/// The most edits of one message, or of one query.
const EDITS_MAX: usize = 64;

/// What happens to things of these names, each of them once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Listed<N>", into = "Listed<N>")]
#[serde(bound = "N: EditedName")]
#[schemars(with = "Listed<N>", rename = "{N}Edits", bound = "N: EditedName + JsonSchema")]
pub struct Edits<N>(Box<[(N, Edit<ValueTemplate>)]>);

/// What happens to one of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Edit<V> {
    /// It goes, however often it is there.
    Remove,
    /// It is there once, with this value.
    Set(V),
    /// It is there once more, with this value.
    Add(V),
}

impl<V> Edit<V> {
    /// The same with another value. Without one nothing is set, so that what was there goes, and nothing is added.
    pub fn map<W>(&self, value: impl FnOnce(&V) -> Option<W>) -> Option<Edit<W>> {
        match self {
            Self::Remove => Some(Edit::Remove),
            Self::Set(old) => Some(value(old).map_or(Edit::Remove, Edit::Set)),
            Self::Add(old) => value(old).map(Edit::Add),
        }
    }
}

/// What edits can be about.
pub trait EditedName:
    Ord + Clone + FromStr<Err: fmt::Display> + fmt::Display + Serialize + serde::de::DeserializeOwned
{
    /// Why it must not be given a value, if it must not.
    fn objection_to_value(&self) -> Option<&'static str> {
        None
    }
}

/// [`Edits`] as they are written.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Edits", deny_unknown_fields, bound = "N: EditedName")]
#[schemars(rename = "{N}Edits", bound = "N: EditedName + JsonSchema")]
struct Listed<N> {
    /// What is taken away.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    remove: BTreeSet<N>,
    /// What has this value and no other.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    set: BTreeMap<N, ValueTemplate>,
    /// What has this value too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    add: BTreeMap<N, ValueTemplate>,
}

impl<N> Edits<N> {
    /// Each name, and what happens to it; what is removed comes first.
    pub fn iter(&self) -> impl Iterator<Item = &(N, Edit<ValueTemplate>)> {
        self.0.iter()
    }

    /// Whether nothing happens.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: EditedName> Edits<N> {
    /// The first variable that routes with this pattern do not have, and the place of its value in the written form.
    pub fn missing_in(&self, pattern: &PathPattern) -> Option<(String, &Variable)> {
        self.0.iter().find_map(|(name, edit)| {
            let (list, template) = match edit {
                Edit::Remove => return None,
                Edit::Set(template) => ("set", template),
                Edit::Add(template) => ("add", template),
            };
            let variable = template.missing_in(pattern)?;
            Some((format!("/{list}/{name}"), variable))
        })
    }
}

impl<N> Default for Edits<N> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<N: EditedName> TryFrom<Listed<N>> for Edits<N> {
    type Error = String;
    fn try_from(Listed { remove, set, add }: Listed<N>) -> Result<Self, String> {
        if let Some((name, objection)) = (set.keys().chain(add.keys()))
            .find_map(|name| name.objection_to_value().map(|objection| (name, objection)))
        {
            return Err(format!("{name} cannot be given a value: {objection}"));
        }
        let removed = remove.into_iter().map(|name| (name, Edit::Remove));
        let set = set.into_iter().map(|(name, value)| (name, Edit::Set(value)));
        let added = add.into_iter().map(|(name, value)| (name, Edit::Add(value)));
        let edits: Box<[_]> = removed.chain(set).chain(added).collect();
        if edits.len() > EDITS_MAX {
            return Err(format!("at most {EDITS_MAX} edits"));
        }
        let mut names = BTreeSet::new();
        match edits.iter().find(|(name, _)| !names.insert(name)) {
            Some((twice, _)) => Err(format!(
                "{twice} is listed twice: `set` alone replaces what is there, `add` alone keeps it"
            )),
            None => Ok(Self(edits)),
        }
    }
}

impl<N: EditedName> From<Edits<N>> for Listed<N> {
    fn from(edits: Edits<N>) -> Self {
        let mut listed = Self {
            remove: BTreeSet::new(),
            set: BTreeMap::new(),
            add: BTreeMap::new(),
        };
        for (name, edit) in edits.0 {
            match edit {
                Edit::Remove => drop(listed.remove.insert(name)),
                Edit::Set(value) => drop(listed.set.insert(name, value)),
                Edit::Add(value) => drop(listed.add.insert(name, value)),
            }
        }
        listed
    }
}

impl EditedName for ParameterName {}

/// What happens to the header fields of a request on its way to the upstream, and of the upstream's response.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderEdits {
    /// Of the request. Values are made from the request as it came.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request: Edits<EditedField>,
    /// Of the response, unless it is the gateway's own. Values are made from the request, too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub response: Edits<EditedField>,
}

crate::rare::usual!(HeaderEdits);

/// The name of a header field that an operator may edit: one that neither framing nor the gateway itself depends on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EditedField(FieldName);

impl EditedField {
    /// As the `http` crate's type.
    pub fn as_header(&self) -> &http::HeaderName {
        self.0.as_header()
    }
}

const FRAMING: &str = "it belongs to one hop, whose framing the gateway does itself";
const OWN: &str = "the gateway writes it itself";

/// Fields that cannot be edited, and why not. Those that begin with `proxy-` belong to one hop, too.
const OWNED: &[(&str, &str)] = &[
    ("connection", FRAMING),
    (
        "content-encoding",
        "it says how the body is coded, which no edit of fields changes",
    ),
    ("content-length", FRAMING),
    ("expect", FRAMING),
    ("forwarded", OWN),
    ("host", "see `preserveHost` and `rewriteHost`"),
    ("http2-settings", FRAMING),
    ("keep-alive", FRAMING),
    ("te", FRAMING),
    ("trailer", FRAMING),
    ("transfer-encoding", FRAMING),
    ("upgrade", FRAMING),
    ("via", OWN),
    ("x-correlation-id", OWN),
    ("x-forwarded-for", OWN),
    ("x-forwarded-host", OWN),
    ("x-forwarded-port", OWN),
    ("x-forwarded-proto", OWN),
];

impl FromStr for EditedField {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let field: FieldName = text.parse()?;
        let name = field.as_header().as_str();
        let listed = OWNED.iter().find(|(owned, _)| *owned == name);
        let reason = listed.map(|(_, reason)| *reason);
        match reason.or(name.starts_with("proxy-").then_some(FRAMING)) {
            Some(reason) => Err(format!("{name} cannot be edited: {reason}")),
            None => Ok(Self(field)),
        }
    }
}

impl fmt::Display for EditedField {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl EditedName for EditedField {
    /// What stands in a route is in the log, where no secret is.
    fn objection_to_value(&self) -> Option<&'static str> {
        (self.as_header() == http::header::AUTHORIZATION)
            .then_some("an upstream has `authorization`, which refers to the secret instead of holding it")
    }
}

text_value!(
    EditedField,
    "the name of a header field that is not framing's or the gateway's own",
    "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(json: &str) -> Result<HeaderEdits, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn edits_are_written_as_they_were_read() {
        let json = r#"{"request":{"remove":["x-a"],"set":{"x-b":"${request.id}"},"add":{"x-c":"1"}}}"#;
        assert_eq!(serde_json::to_string(&edits(json).unwrap()).unwrap(), json);
        let shouted = edits(r#"{"response":{"add":{"X-C":"1"},"remove":["X-B","X-A","x-b"]}}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&shouted).unwrap(),
            r#"{"response":{"remove":["x-a","x-b"],"add":{"x-c":"1"}}}"#
        );
    }

    #[test]
    fn a_field_that_is_not_the_operators_is_refused_with_the_reason() {
        let check = |name: &str, reason: &str| {
            for edits in [
                edits(&format!(r#"{{"request":{{"remove":["{name}"]}}}}"#)),
                edits(&format!(r#"{{"response":{{"set":{{"{name}":"1"}}}}}}"#)),
            ] {
                let error = edits.unwrap_err();
                assert!(error.contains(reason), "{name}: {error}");
            }
        };
        for name in [
            "Content-Length",
            "transfer-encoding",
            "CONNECTION",
            "te",
            "upgrade",
            "trailer",
        ] {
            check(name, "belongs to one hop");
        }
        for name in ["proxy-authorization", "proxy-connection", "Proxy-Status"] {
            check(name, "belongs to one hop");
        }
        for name in ["via", "forwarded", "X-Forwarded-For", "x-correlation-id"] {
            check(name, "the gateway writes it itself");
        }
        check("host", "`rewriteHost`");
        check("content-encoding", "how the body is coded");
    }

    #[test]
    fn a_credential_may_be_taken_away_but_not_stand_in_a_route() {
        assert!(edits(r#"{"request":{"remove":["authorization"]}}"#).is_ok());
        for list in ["set", "add"] {
            let error = edits(&format!(
                r#"{{"request":{{"{list}":{{"Authorization":"Basic x"}}}}}}"#
            ));
            assert!(error.unwrap_err().contains("an upstream has `authorization`"));
        }
    }

    #[test]
    fn a_name_has_one_edit() {
        let error = edits(r#"{"request":{"remove":["x-a"],"add":{"X-A":"1"}}}"#).unwrap_err();
        assert!(error.contains("x-a is listed twice"), "{error}");
        assert!(edits(r#"{"request":{"replace":{}}}"#).is_err());
    }
}

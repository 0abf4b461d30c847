//! Which pages may read what a route answers: the CORS protocol of the Fetch standard.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Methods, Millis, matchers::FieldName, origins::Origins};

/// The most names of header fields in one list.
const FIELDS_MAX: usize = 64;

/// Whether the gateway speaks for the upstream with browsers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "Written")]
#[schemars(with = "Written")]
pub enum Cors {
    /// The upstream speaks for itself, whatever the settings say.
    Off,
    /// Under these terms, in place of the upstream.
    On(Terms),
}

/// What pages of other origins may do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Terms {
    origins: Origins,
    methods: Methods,
    headers: Option<Box<[FieldName]>>,
    exposed_headers: Box<[FieldName]>,
    credentials: bool,
    max_age: Option<Millis>,
}

impl Terms {
    /// Whose pages.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// The methods they may use; any: those that the route takes.
    pub fn methods(&self) -> Methods {
        self.methods
    }

    /// The header fields they may send; none: whichever they ask for.
    pub fn headers(&self) -> Option<&[FieldName]> {
        self.headers.as_deref()
    }

    /// The header fields they may read, beside those that every page may.
    pub fn exposed_headers(&self) -> &[FieldName] {
        &self.exposed_headers
    }

    /// Whether cookies and credentials go with their requests. Never together with [`Origins::Any`].
    pub fn credentials(&self) -> bool {
        self.credentials
    }

    /// For how long a browser need not ask again.
    pub fn max_age(&self) -> Option<Millis> {
        self.max_age
    }
}

/// [`Cors`] as it is written.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Cors", rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    /// Whether any of this holds; `false` leaves the upstream to speak for itself.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    enabled: bool,
    /// Whose pages may read responses: `*`, or a list of origins.
    #[serde(default, alias = "origin", skip_serializing_if = "Option::is_none")]
    origins: Option<Origins>,
    /// The methods they may use; empty or absent: those that the route takes.
    #[serde(default, skip_serializing_if = "Methods::is_any")]
    methods: Methods,
    /// The header fields they may send; absent: whichever they ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    headers: Option<Box<[FieldName]>>,
    /// The header fields they may read, beside those that every page may.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    #[schemars(length(max = 64))]
    exposed_headers: Box<[FieldName]>,
    /// Whether cookies and credentials go with their requests. Not for every page: never with `*`.
    #[serde(default, skip_serializing_if = "is_false")]
    credentials: bool,
    /// For how long a browser need not ask again; absent: 5 s, as it is for every browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_age: Option<Millis>,
}

fn yes() -> bool {
    true
}

fn is_true(flag: &bool) -> bool {
    *flag
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl TryFrom<Written> for Cors {
    type Error = String;
    fn try_from(written: Written) -> Result<Self, String> {
        if !written.enabled {
            return Ok(Self::Off);
        }
        let Some(origins) = written.origins else {
            return Err("whose pages may read responses? Say it by `origins`: `*`, or a list".to_owned());
        };
        if written.credentials && origins == Origins::Any {
            return Err(
                "`credentials` cannot be with the origin `*`: every page could act in the name of whoever \
                        looks at it; list the origins"
                    .to_owned(),
            );
        }
        let longest = written.headers.iter().map(|list| list.len()).max();
        if longest.max(Some(written.exposed_headers.len())) > Some(FIELDS_MAX) {
            return Err(format!("at most {FIELDS_MAX} header fields in a list"));
        }
        Ok(Self::On(Terms {
            origins,
            methods: written.methods,
            headers: written.headers,
            exposed_headers: written.exposed_headers,
            credentials: written.credentials,
            max_age: written.max_age,
        }))
    }
}

impl From<Cors> for Written {
    fn from(cors: Cors) -> Self {
        let off = Self {
            enabled: false,
            origins: None,
            methods: Methods::ANY,
            headers: None,
            exposed_headers: Box::default(),
            credentials: false,
            max_age: None,
        };
        match cors {
            Cors::Off => off,
            Cors::On(terms) => Self {
                enabled: true,
                origins: Some(terms.origins),
                methods: terms.methods,
                headers: terms.headers,
                exposed_headers: terms.exposed_headers,
                credentials: terms.credentials,
                max_age: terms.max_age,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(json: &str) -> Result<Cors, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn it_is_read_in_both_vocabularies_and_written_in_one() {
        let check = |json: &str, written: &str| {
            assert_eq!(serde_json::to_string(&cors(json).unwrap()).unwrap(), written);
        };
        check(
            r#"{"enabled":true,"origin":"*","methods":["POST","get"],"credentials":false}"#,
            r#"{"origins":["*"],"methods":["GET","POST"]}"#,
        );
        check(
            r#"{"origins":["https://a.test"],"headers":["X-A"],"exposedHeaders":["x-b"],"credentials":true,"maxAge":"10m"}"#,
            r#"{"origins":["https://a.test"],"headers":["x-a"],"exposedHeaders":["x-b"],"credentials":true,"maxAge":600000}"#,
        );
        check(r#"{"enabled":false,"origin":"*"}"#, r#"{"enabled":false}"#);
        check(
            r#"{"origins":"*","headers":[]}"#,
            r#"{"origins":["*"],"headers":[]}"#,
        );
    }

    #[test]
    fn what_would_let_every_page_act_for_everybody_is_refused() {
        let refused = |json: &str, reason: &str| {
            let error = cors(json).unwrap_err();
            assert!(error.contains(reason), "{error}");
        };
        refused(r#"{"origin":"*","credentials":true}"#, "list the origins");
        refused(r#"{"origins":["*"],"credentials":true}"#, "list the origins");
        refused(r#"{"credentials":true}"#, "Say it by `origins`");
        refused(r#"{"origins":"*","allow":1}"#, "unknown field");
    }
}

//! Routes: which requests go where, and under which policies.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Access, Authority, Compression, Cors, HostPattern, Matchers, Methods, Millis, PathPattern, Rewrite,
    RouteId, Size, UpstreamId, UpstreamUrl, Validation,
    edits::{Edits, HeaderEdits},
    ids::IdError,
    matchers::ParameterName,
    policy::{Auth, CircuitBreaker, Retries},
    rare::Rare,
    rate_limit::{Cost, RateLimits},
    recording::is_default,
    url::UrlError,
};

/// A route. Among the routes that match a request the one with the highest priority wins, then the most specific.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// Its identity; edits keep it.
    pub id: RouteId,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// A disabled route matches nothing.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Beats specificity: the highest wins. From -1,000,000 to 1,000,000.
    #[serde(default, skip_serializing_if = "Priority::is_default")]
    pub priority: Priority,
    /// The host it answers for; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostPattern>,
    /// The paths it answers for.
    pub path: PathPattern,
    /// The methods it takes; empty: any.
    #[serde(default, skip_serializing_if = "Methods::is_any")]
    pub methods: Methods,
    /// What else a request must have.
    #[serde(default, rename = "match", skip_serializing_if = "is_default")]
    pub matchers: Rare<Matchers>,
    /// Where requests go: an upstream's name, or a URL.
    pub upstream: UpstreamRef,
    /// Forward the path without what the pattern's literal part matched: `/api/*` sends `/users` for `/api/users`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub strip_path: bool,
    /// Forward this path instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Box<Rewrite>>,
    /// Forward the client's `Host` instead of the upstream's own.
    #[serde(default, skip_serializing_if = "is_false")]
    pub preserve_host: bool,
    /// Forward this `Host` instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite_host: Option<Authority>,
    /// Take paths with `%2F` and `%5C`; otherwise they are refused with 400.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_encoded_slashes: bool,
    /// What happens to header fields on their way through.
    #[serde(default, skip_serializing_if = "is_default")]
    pub headers: Rare<HeaderEdits>,
    /// What happens to query parameters on their way to the upstream.
    #[serde(default, skip_serializing_if = "is_default")]
    pub query: Edits<ParameterName>,
    /// Which pages of other origins may read responses; overrides the settings'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Box<Cors>>,
    /// Whether responses are compressed; overrides the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Box<Compression>>,
    /// From where requests may come, of those that the settings let through.
    #[serde(default, skip_serializing_if = "is_default")]
    pub access: Rare<Access>,
    /// Whether the client must say who it is, and by what.
    #[serde(default, skip_serializing_if = "is_default")]
    pub auth: Auth,
    /// How many requests it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimits>,
    /// How much each of its requests counts in every limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cost: Cost,
    /// What a request must have and be before it is sent on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub validate: Rare<Validation>,
    /// When to stop asking the upstream; overrides the upstream's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<CircuitBreaker>,
    /// How long the upstream may take until its response begins; overrides the upstream's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Millis>,
    /// The longest body of a request; overrides that of all routes. Longer ones are refused with 413.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body_size: Option<Size>,
    /// How often to try again; overrides the upstream's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
}

/// What makes two routes the same rule: equal keys match exactly the same requests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatchKey {
    host: Option<HostPattern>,
    shape: PathPattern,
    methods: Methods,
    matchers: Rare<Matchers>,
}

impl Route {
    /// The smallest route: this path, to that upstream, everything else default.
    pub fn new(id: RouteId, path: PathPattern, upstream: UpstreamRef) -> Self {
        Self {
            id,
            name: None,
            enabled: true,
            priority: Priority::default(),
            host: None,
            path,
            methods: Methods::ANY,
            matchers: Rare::default(),
            upstream,
            strip_path: false,
            rewrite: None,
            preserve_host: false,
            rewrite_host: None,
            allow_encoded_slashes: false,
            headers: Rare::default(),
            query: Edits::default(),
            cors: None,
            compression: None,
            access: Rare::default(),
            auth: Auth::default(),
            rate_limit: None,
            cost: Cost::default(),
            validate: Rare::default(),
            circuit_breaker: None,
            timeout: None,
            max_body_size: None,
            retries: None,
        }
    }

    /// The lowest schema level that can read it: `maxBodySize`, regular expressions, and all that edits messages or is done
    /// to responses came with the third, `access`, `validate`, `cost`, which credentials are taken, and most of `rateLimit` with the fourth.
    pub fn reader_level(&self) -> u32 {
        if !is_default(&self.access) || !is_default(&self.validate) {
            return 4;
        }
        let is_regex =
            matches!(self.rewrite.as_deref(), Some(Rewrite::Regex(_))) || self.matchers.have_regex();
        let edits = !is_default(&self.headers) || !self.query.is_empty() || self.rewrite_host.is_some();
        let responses = self.cors.is_some() || self.compression.is_some();
        let is_new = is_regex || edits || responses || self.max_body_size.is_some();
        let limits = self.rate_limit.as_ref().map_or(1, RateLimits::reader_level);
        let own = match (is_default(&self.cost), is_new) {
            (false, _) => 4,
            (true, true) => 3,
            (true, false) => 1,
        };
        own.max(limits).max(self.auth.reader_level())
    }

    /// What it matches, without the names of path segments.
    pub fn match_key(&self) -> MatchKey {
        MatchKey {
            host: self.host.clone(),
            shape: self.path.shape(),
            methods: self.methods,
            matchers: self.matchers.clone(),
        }
    }
}

fn yes() -> bool {
    true
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// A name for people: 1 to 128 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text.trim().is_empty() || text.chars().count() > 128 || text.chars().any(char::is_control) {
            return Err("a name has 1 to 128 characters, none of them a control character");
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

text_value!(
    Name,
    "a name of 1 to 128 characters",
    r"^[^\x00-\x1f\x7f]{1,128}$"
);

/// An explicit order between routes, -1,000,000 to 1,000,000.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "i64")]
pub struct Priority(#[schemars(range(min = -1_000_000, max = 1_000_000))] i32);

impl Priority {
    /// As a number.
    pub fn get(self) -> i32 {
        self.0
    }

    fn is_default(&self) -> bool {
        self.0 == 0
    }
}

impl TryFrom<i64> for Priority {
    type Error = String;
    fn try_from(number: i64) -> Result<Self, String> {
        match i32::try_from(number) {
            Ok(priority @ -1_000_000..=1_000_000) => Ok(Self(priority)),
            _ => Err(format!("priority {number} is out of range: -1000000 to 1000000")),
        }
    }
}

/// An upstream by name, or a URL that stands for an upstream with default settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpstreamRef {
    /// An upstream that exists under this name.
    Named(UpstreamId),
    /// This address.
    Url(UpstreamUrl),
}

/// Why a string is neither an upstream's name nor a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamRefError {
    /// No `://`, so a name, but not a valid one.
    #[error("an upstream is a name or a URL such as `http://host:port`; as a name: {0}")]
    Name(#[from] IdError),
    /// A URL, but not a valid one.
    #[error(transparent)]
    Url(#[from] UrlError),
}

impl FromStr for UpstreamRef {
    type Err = UpstreamRefError;
    fn from_str(text: &str) -> Result<Self, UpstreamRefError> {
        if text.contains("://") {
            Ok(Self::Url(text.parse()?))
        } else {
            Ok(Self::Named(text.parse()?))
        }
    }
}

impl fmt::Display for UpstreamRef {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => name.fmt(out),
            Self::Url(url) => url.fmt(out),
        }
    }
}

text_value!(
    UpstreamRef,
    "an upstream's name, or a URL",
    "^([A-Za-z0-9_-]{1,64}|https?://.+)$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readmes_route_is_read() {
        let route: Route = serde_json::from_str(
            r#"{"id":"1","path":"/api/users","upstream":"https://api.example.com","methods":["GET","POST"],
                "enabled":true,"rateLimit":{"requests":100,"window":"60s"},"circuitBreaker":{"enabled":true,"threshold":5}}"#,
        )
        .unwrap();
        assert_eq!(route.rate_limit.unwrap().as_slice()[0].window.get(), 60_000);
    }

    #[test]
    fn defaults_are_not_written() {
        let route = Route::new(
            "r".parse().unwrap(),
            "/*".parse().unwrap(),
            "backend".parse().unwrap(),
        );
        let json = serde_json::to_string(&route).unwrap();
        assert_eq!(
            json,
            r#"{"id":"r","enabled":true,"path":"/*","upstream":"backend"}"#
        );
        assert_eq!(serde_json::from_str::<Route>(&json).unwrap(), route);
    }

    #[test]
    fn only_what_is_asked_for_needs_a_newer_reader() {
        let level = |fields: &str| {
            let json = format!(r#"{{"id":"r","path":"/","upstream":"u",{fields}}}"#);
            serde_json::from_str::<Route>(&json).unwrap().reader_level()
        };
        assert_eq!(level(r#""stripPath":true,"headers":{"request":{}}"#), 1);
        assert_eq!(
            level(r#""rewrite":"/a","match":{"headers":[{"name":"x","value":"1"}]}"#),
            1
        );
        assert_eq!(level(r#""headers":{"request":{"remove":["x-a"]}}"#), 3);
        assert_eq!(level(r#""query":{"remove":["a"]}"#), 3);
        assert_eq!(level(r#""rewriteHost":"a""#), 3);
        assert_eq!(level(r#""cors":{"origins":"*"}"#), 3);
        assert_eq!(level(r#""compression":{}"#), 3);
        assert_eq!(level(r#""maxBodySize":"1mb""#), 3);
        assert_eq!(level(r#""rewrite":{"regex":"/(.*)","to":"/a/$1"}"#), 3);
        assert_eq!(level(r#""match":{"pathRegex":"/a.*"}"#), 3);
        assert_eq!(level(r#""access":{"allow":[]}"#), 1);
        assert_eq!(level(r#""access":{"allow":["::1"]}"#), 4);
        assert_eq!(level(r#""validate":{"body":{"schema":true}}"#), 4);
        assert_eq!(level(r#""match":{"query":[{"name":"x","regex":"1|2"}]}"#), 3);
        assert_eq!(level(r#""rateLimit":{"max":1,"windowMs":1},"cost":1"#), 1);
        assert_eq!(level(r#""rateLimit":{"max":1,"windowMs":1,"per":"key"}"#), 4);
        assert_eq!(level(r#""cost":2"#), 4);
        assert_eq!(level(r#""auth":{"mode":"required"}"#), 1);
        assert_eq!(level(r#""auth":{"mode":"required","accept":["jwt"]}"#), 4);
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let error = serde_json::from_str::<Route>(r#"{"id":"r","path":"/","upstream":"u","rateLimt":{}}"#)
            .unwrap_err();
        assert!(error.to_string().contains("rateLimt"), "{error}");
    }
}

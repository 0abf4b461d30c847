//! How many requests may pass, and who shares the number.

use std::{collections::HashSet, fmt, num::NonZeroU32, slice};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, value},
};

use crate::{
    ids::{ID_BYTES_MAX, IdError},
    recording::is_default,
    span::{self, Millis},
};

/// The most limits of one route, or of the settings.
pub const LIMITS_MAX: usize = 8;

/// At most so many requests in a window of time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// What clients are told it is called; made of the window where nothing is said, such as `permin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<LimitName>,
    /// How many requests, at least 1.
    #[serde(alias = "max")]
    pub requests: NonZeroU32,
    /// In which time.
    #[serde(alias = "windowMs", serialize_with = "span::as_text")]
    pub window: Millis,
    /// How many may come at once after a pause; as many as `requests`. Only of token buckets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
    /// Who shares it: `all`, or each `key`, each `address`, or each pair of them its own. Where keys are told apart, a request
    /// without one counts for its address.
    #[serde(default, skip_serializing_if = "is_default")]
    pub per: Per,
    /// How requests are counted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub algorithm: Algorithm,
    /// Ask Redis about each request, instead of taking tokens from there ahead of use.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strict: bool,
    /// What happens while Redis does not answer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_redis_failure: OnRedisFailure,
    /// The `detail` of the refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub message: Option<Box<str>>,
}

impl RateLimit {
    /// So many requests in such a window, everything else as it is where nothing is said.
    pub fn new(requests: NonZeroU32, window: Millis) -> Self {
        Self {
            name: None,
            requests,
            window,
            burst: None,
            per: Per::default(),
            algorithm: Algorithm::default(),
            strict: false,
            on_redis_failure: OnRedisFailure::default(),
            message: None,
        }
    }

    /// Its own name, or one made of its window.
    pub fn shown_name(&self) -> LimitName {
        self.name.clone().unwrap_or_else(|| {
            LimitName(match self.window.get() {
                1_000 => "persec".into(),
                60_000 => "permin".into(),
                3_600_000 => "perhour".into(),
                86_400_000 => "perday".into(),
                _ => format!("per{}", self.window).into(),
            })
        })
    }

    /// How many may come at once.
    pub fn burst(&self) -> NonZeroU32 {
        self.burst.unwrap_or(self.requests)
    }

    /// Whether it has nothing but what the first limits had.
    pub fn is_plain(&self) -> bool {
        let bare = Self {
            message: self.message.clone(),
            ..Self::new(self.requests, self.window)
        };
        *self == bare
    }
}

/// How requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Algorithm {
    /// A bucket of `burst` tokens that is filled with `requests` in each `window`: in any time t at most burst + rate x t pass.
    #[default]
    TokenBucket,
    /// Never more than `requests` in any span of time as long as the window.
    SlidingWindow,
}

/// What happens to requests while Redis does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnRedisFailure {
    /// Each node lets its share of the limit pass.
    #[default]
    LocalShare,
    /// All pass.
    Open,
    /// None passes, beyond what was taken from Redis before: 503.
    Closed,
}

/// Who shares a limit. Nothing set: all requests together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Per {
    /// Each key has its own.
    pub key: bool,
    /// Each client address has its own; in IPv6 each /64.
    pub address: bool,
}

impl Serialize for Per {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.key, self.address) {
            (false, false) => "all".serialize(serializer),
            (true, false) => "key".serialize(serializer),
            (false, true) => "address".serialize(serializer),
            (true, true) => ["key", "address"].serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Per {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrWords;
        impl<'de> de::Visitor<'de> for WordOrWords {
            type Value = Per;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("`all`, `key`, `address`, or a list of the last two")
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<Per, E> {
                let (key, address) = match word {
                    "all" => (false, false),
                    "key" => (true, false),
                    "address" => (false, true),
                    _ => return Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                };
                Ok(Per { key, address })
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut words: A) -> Result<Per, A::Error> {
                let mut per = Per::default();
                while let Some(word) = words.next_element::<Per>()? {
                    if word == Per::default() || (word.key && per.key) || (word.address && per.address) {
                        return Err(de::Error::custom("a list names `key` and `address`, each once"));
                    }
                    (per.key, per.address) = (per.key || word.key, per.address || word.address);
                }
                if per == Per::default() {
                    return Err(de::Error::custom("an empty list says nothing: write `all`"));
                }
                Ok(per)
            }
        }
        deserializer.deserialize_any(WordOrWords)
    }
}

impl JsonSchema for Per {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Per".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Who shares a limit",
            "oneOf": [
                { "type": "string", "enum": ["all", "key", "address"] },
                {
                    "type": "array", "minItems": 1, "maxItems": 2, "uniqueItems": true,
                    "items": { "type": "string", "enum": ["key", "address"] }
                }
            ]
        })
    }
}

/// What a limit is called: letters, digits, `_` and `-`, 1 to 64 of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitName(Box<str>);

impl LimitName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for LimitName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        crate::ids::check(text)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for LimitName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

text_value!(
    LimitName,
    "a name of letters, digits, _ and -",
    format!("^[A-Za-z0-9_-]{{1,{ID_BYTES_MAX}}}$")
);

/// One limit, or several that all hold: a request needs room in each. Written as one, or as a list of up to
/// [`LIMITS_MAX`] with different names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RateLimits(Box<[RateLimit]>);

impl RateLimits {
    /// Each of them, at least one.
    pub fn iter(&self) -> slice::Iter<'_, RateLimit> {
        self.0.iter()
    }

    /// Each of them, at least one.
    pub fn as_slice(&self) -> &[RateLimit] {
        &self.0
    }

    /// The lowest schema level that can read them: a single limit without anything new has been there from the first on.
    pub fn reader_level(&self) -> u32 {
        match &*self.0 {
            [only] if only.is_plain() => 1,
            _ => 4,
        }
    }

    fn several<E: de::Error>(limits: Vec<RateLimit>) -> Result<Self, E> {
        if limits.is_empty() || limits.len() > LIMITS_MAX {
            return Err(E::custom(format_args!(
                "{} limits in a list: there are 1 to {LIMITS_MAX}",
                limits.len()
            )));
        }
        let mut names = HashSet::new();
        for limit in &limits {
            let name = limit.shown_name();
            if names.contains(&name) {
                return Err(E::custom(format_args!(
                    "two limits are called `{name}`: give each a `name` of its own"
                )));
            }
            names.insert(name);
        }
        Ok(Self(limits.into()))
    }
}

impl From<RateLimit> for RateLimits {
    fn from(only: RateLimit) -> Self {
        Self([only].into())
    }
}

impl<'l> IntoIterator for &'l RateLimits {
    type Item = &'l RateLimit;
    type IntoIter = slice::Iter<'l, RateLimit>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Serialize for RateLimits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &*self.0 {
            [only] => only.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for RateLimits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;
        impl<'de> de::Visitor<'de> for OneOrSeveral {
            type Value = RateLimits;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a limit `{requests, window}`, or a list of limits")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RateLimits, A::Error> {
                RateLimit::deserialize(value::MapAccessDeserializer::new(map)).map(RateLimits::from)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<RateLimits, A::Error> {
                RateLimits::several(Vec::deserialize(value::SeqAccessDeserializer::new(seq))?)
            }
        }
        deserializer.deserialize_any(OneOrSeveral)
    }
}

impl JsonSchema for RateLimits {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RateLimits".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let limit = generator.subschema_for::<RateLimit>();
        schemars::json_schema!({
            "description": "A limit, or several that all hold",
            "oneOf": [limit, { "type": "array", "minItems": 1, "maxItems": LIMITS_MAX, "items": limit }]
        })
    }
}

/// What responses say of limits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RateLimitFields {
    /// `RateLimit-Policy` and `RateLimit`, as the IETF drafts them.
    pub standard: bool,
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`, for the limit that is nearest to its end.
    pub legacy: bool,
}

impl Default for RateLimitFields {
    fn default() -> Self {
        Self {
            standard: true,
            legacy: false,
        }
    }
}

/// How much a request counts: 1 to 1,000,000 tokens. What costs more than a limit ever has at once takes all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
pub struct Cost(#[schemars(range(min = 1, max = 1_000_000))] u32);

/// The highest cost of a request.
const COST_MAX: u32 = 1_000_000;

impl Cost {
    /// In tokens.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u64> for Cost {
    type Error = String;
    fn try_from(tokens: u64) -> Result<Self, String> {
        match u32::try_from(tokens) {
            Ok(cost @ 1..=COST_MAX) => Ok(Self(cost)),
            _ => Err(format!("a request costs 1 to {COST_MAX} tokens, not {tokens}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(json: &str) -> Result<RateLimits, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_limit_is_read_in_both_dialects() {
        let api = limits(r#"{"requests":100,"window":"60s"}"#).unwrap();
        let file = limits(r#"{"max":100,"windowMs":60000}"#).unwrap();
        assert_eq!(api, file);
        assert_eq!(
            serde_json::to_string(&api).unwrap(),
            r#"{"requests":100,"window":"60s"}"#
        );
    }

    #[test]
    fn everything_that_may_be_said_is_written_as_it_is_read() {
        let json = r#"[{"name":"strict","requests":5,"window":"1s","per":["key","address"],"algorithm":"slidingWindow","strict":true,"onRedisFailure":"closed","message":"slow down"},{"requests":9,"window":"60s","burst":3,"per":"address","onRedisFailure":"open"}]"#;
        assert_eq!(serde_json::to_string(&limits(json).unwrap()).unwrap(), json);
    }

    #[test]
    fn only_what_is_new_needs_a_newer_reader() {
        let check = |json: &str, level| assert_eq!(limits(json).unwrap().reader_level(), level, "{json}");
        check(r#"{"max":1,"windowMs":1,"message":"no"}"#, 1);
        check(r#"[{"max":1,"windowMs":1}]"#, 1);
        check(r#"{"max":1,"windowMs":1,"per":"all","strict":false}"#, 1);
        check(r#"{"max":1,"windowMs":1,"burst":1}"#, 4);
        check(r#"{"max":1,"windowMs":1,"per":"key"}"#, 4);
        check(r#"[{"max":1,"windowMs":1},{"max":1,"windowMs":2}]"#, 4);
    }

    #[test]
    fn limits_have_names_and_no_two_the_same() {
        let name = |window: &str| {
            let limit: RateLimit =
                serde_json::from_str(&format!(r#"{{"requests":1,"window":"{window}"}}"#)).unwrap();
            limit.shown_name().to_string()
        };
        assert_eq!(
            ["1s", "1m", "60m", "24h", "90s", "250ms"].map(name),
            ["persec", "permin", "perhour", "perday", "per90s", "per250ms"]
        );
        let same = r#"[{"requests":1,"window":"1s"},{"requests":2,"window":"1s","per":"key"}]"#;
        assert!(limits(same).unwrap_err().to_string().contains("`persec`"));
    }

    #[test]
    fn what_says_nothing_or_too_much_is_refused() {
        let nine = format!("[{}]", [r#"{"requests":1,"window":1}"#; 9].join(","));
        for wrong in [
            "[]",
            &nine,
            r#"{"requests":0,"window":1}"#,
            r#"{"requests":1,"window":1,"burst":0}"#,
            r#"{"requests":1,"window":1,"per":[]}"#,
            r#"{"requests":1,"window":1,"per":["all"]}"#,
            r#"{"requests":1,"window":1,"per":["key","key"]}"#,
            r#"{"requests":1,"window":1,"per":"route"}"#,
            r#"{"requests":1,"window":1,"name":"per minute"}"#,
        ] {
            assert!(limits(wrong).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<Cost>("0").is_err() && serde_json::from_str::<Cost>("5").is_ok());
    }
}

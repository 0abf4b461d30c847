//! How many requests may pass, and who shares the number.

mod per;

use std::{collections::HashSet, fmt, num::NonZeroU32, slice};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, value},
};

pub use self::per::Per;
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
mod tests;

//! What a request must be before it is sent on.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use crate::{
    Size,
    matchers::{HeaderMatcher, QueryMatcher},
    media_range::MediaRange,
};

/// The most entries of each list.
pub const ENTRIES_MAX: usize = 16;

/// What a request must have and be. All of it must hold, or it is refused with every mistake that was found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Validation {
    /// The media types that a body may have; empty: any. Others are refused with 415.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ENTRIES_MAX))]
    pub content_types: Vec<MediaRange>,
    /// Header fields that must be there, each of their lines with such a value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ENTRIES_MAX))]
    pub headers: Vec<HeaderMatcher>,
    /// Query parameters that must be there, each time with such a value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ENTRIES_MAX))]
    pub query: Vec<QueryMatcher>,
    /// What the body must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyRules>,
}

crate::rare::usual!(Validation);

/// What a body must be: JSON, and such JSON. It is held in memory until that is known, and then sent on as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BodyRules {
    /// What the JSON must be.
    pub schema: BodySchema,
    /// The longest body; 1 MiB. Longer ones are refused with 413.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<HeldSize>,
}

impl BodyRules {
    /// A megabyte: what is longer is seldom JSON that somebody wrote by hand.
    pub const MAX_SIZE: u64 = 1 << 20;
}

/// The longest schema, in bytes: it travels in every event of its route.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;

/// A JSON Schema of 2020-12, at most [`SCHEMA_BYTES_MAX`] long. That it is one is checked where it is compiled.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct BodySchema(Value);

impl BodySchema {
    /// As JSON.
    pub fn as_value(&self) -> &Value {
        &self.0
    }
}

impl TryFrom<Value> for BodySchema {
    type Error = String;
    fn try_from(schema: Value) -> Result<Self, String> {
        if !schema.is_object() && !schema.is_boolean() {
            return Err("a schema is an object, or `true` or `false`".to_owned());
        }
        let bytes = schema.to_string().len();
        if bytes > SCHEMA_BYTES_MAX {
            return Err(format!(
                "a schema has at most {SCHEMA_BYTES_MAX} bytes; this one has {bytes}"
            ));
        }
        Ok(Self(schema))
    }
}

impl<'de> Deserialize<'de> for BodySchema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer)?
            .try_into()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for BodySchema {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BodySchema".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["object", "boolean"],
            "description": "any JSON Schema of 2020-12, of at most 64 KiB; its references lead to places within it"
        })
    }
}

/// The most bytes of a body that are held.
pub const HELD_SIZE_MAX: u64 = 16 << 20;

/// A number of bytes that are held in memory, 1 to [`HELD_SIZE_MAX`]. Written as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Size")]
pub struct HeldSize(u64);

impl HeldSize {
    /// The number of bytes.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<Size> for HeldSize {
    type Error = String;
    fn try_from(size: Size) -> Result<Self, String> {
        match size.get() {
            bytes @ 1..=HELD_SIZE_MAX => Ok(Self(bytes)),
            _ => Err(format!(
                "{size} bytes are out of range: no more than {HELD_SIZE_MAX} of a body are held"
            )),
        }
    }
}

impl fmt::Display for HeldSize {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl JsonSchema for HeldSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HeldSize".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = Size::json_schema(generator);
        schema.insert(
            "description".into(),
            "bytes, or a number with kb or mb; at most 16mb".into(),
        );
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validation(json: &str) -> Result<Validation, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn rules_are_written_as_people_write_them_and_kept_in_one_form() {
        let json = r#"{"contentTypes":["Application/JSON"],"headers":[{"name":"X-Tenant","regex":"a|b"}],
                       "query":[{"name":"v","value":"1"}],"body":{"schema":{"type":"object"},"maxSize":"64kb"}}"#;
        assert_eq!(
            serde_json::to_string(&validation(json).unwrap()).unwrap(),
            r#"{"contentTypes":["application/json"],"headers":[{"name":"x-tenant","regex":"a|b"}],"query":[{"name":"v","value":"1"}],"body":{"schema":{"type":"object"},"maxSize":65536}}"#
        );
    }

    #[test]
    fn a_schema_is_small_and_so_is_a_body_that_is_held() {
        let refusal = |json: &str| validation(json).unwrap_err().to_string();
        assert!(refusal(r#"{"body":{"schema":[]}}"#).contains("an object"));
        assert!(refusal(r#"{"body":{}}"#).contains("missing field `schema`"));
        assert!(refusal(r#"{"body":{"schema":true,"maxSize":"17mb"}}"#).contains("out of range"));
        let long = format!(
            r#"{{"body":{{"schema":{{"$comment":"{}"}}}}}}"#,
            "x".repeat(SCHEMA_BYTES_MAX)
        );
        assert!(refusal(&long).contains("at most 65536 bytes"));
        assert!(validation(r#"{"body":{"schema":true,"maxSize":"16mb"}}"#).is_ok());
    }
}

//! Timeouts, as one number or by their names.

use flexgate_schemas::Millis;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A number, which is `request`; or each by its name, as in the old files.
#[derive(Debug)]
pub(in crate::config::file) struct Timeouts;

impl JsonSchema for Timeouts {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timeouts".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let named = NamedTimeouts::json_schema(generator);
        json_schema!({ "anyOf": [generator.subschema_for::<Millis>(), named] })
    }
}

/// `timeouts` of the old files, and `proxy.timeout` written in full.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(in crate::config::file) struct NamedTimeouts {
    /// How long a response may take to begin.
    request: Option<Millis>,
    /// How long a connection to an upstream may take to be made.
    connect: Option<Millis>,
    /// How long a client's connection may rest without a request: `limits.keepAliveTimeout`.
    idle: Option<Millis>,
}

impl<'de> Deserialize<'de> for Timeouts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrNames;
        impl<'de> de::Visitor<'de> for NumberOrNames {
            type Value = Timeouts;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("milliseconds (5000), a number with a unit (\"5s\"), or `{request, connect}`")
            }
            fn visit_u64<E: de::Error>(self, millis: u64) -> Result<Timeouts, E> {
                Millis::try_from(millis).map(|_| Timeouts).map_err(E::custom)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timeouts, E> {
                text.parse::<Millis>().map(|_| Timeouts).map_err(E::custom)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Timeouts, A::Error> {
                NamedTimeouts::deserialize(de::value::MapAccessDeserializer::new(map)).map(|_| Timeouts)
            }
        }
        deserializer.deserialize_any(NumberOrNames)
    }
}

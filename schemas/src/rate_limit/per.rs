//! Who shares a limit.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

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

//! Keys as they are answered, and as they may be sent.

use flexgate_schemas::{
    ApiKey,
    key::{KeyTerms, ToldKey},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    super::entity::{self, Stored},
    ANSWERED_ONLY, basic,
};
use crate::domain::Entry;

/// A key as it is answered: everything but its hashes.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ApiKey")]
pub(super) struct Shown {
    #[serde(flatten)]
    told: ToldKey,
    /// What its client signs with; only in the answer to the request that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signing_secret: Option<String>,
    /// What its client sends; only in the answer to the request that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<String>,
}

/// What is sent of a key: what people decide about it. What only answers have may be sent back.
pub(super) struct Input;

impl JsonSchema for Input {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ApiKeyInput".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let basic = generator.subschema_for::<basic::Input>();
        let mut schema = KeyTerms::json_schema(generator);
        schema.ensure_object()["properties"]["basic"] = basic.into(); // only when it is created
        for field in ["id"].iter().chain(&ANSWERED_ONLY).chain(&entity::ANSWERED_ONLY) {
            schema.ensure_object()["properties"][*field] =
                serde_json::json!({ "description": "Ignored: only answers have it.", "readOnly": true });
        }
        schema
    }
}

impl Shown {
    pub(super) fn of(key: &ApiKey) -> Self {
        Self {
            told: key.told(),
            signing_secret: None,
            secret: None,
        }
    }
}

/// One that is kept.
pub(super) fn shown(entry: &Entry<ApiKey>) -> Stored<Shown> {
    Stored {
        value: Shown::of(&entry.value),
        revision: entry.revision,
        created_at: entry.created_at,
        updated_at: entry.updated_at,
    }
}

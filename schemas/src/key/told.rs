//! Keys as they may be told: to who asks the API, and to who reads the tables.

use schemars::JsonSchema;
use serde::Serialize;

use super::{ApiKey, KeyId, KeyTerms, Username};
use crate::Timestamp;

/// Everything of a key but its hashes and sealed secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToldKey {
    /// Its identity, and no secret.
    pub id: KeyId,
    /// What people have decided about it.
    #[serde(flatten)]
    pub terms: KeyTerms,
    /// When it got its newest secret, if that is not its first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Timestamp>,
    /// Since when it opens nothing, for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// Until when earlier secrets are valid, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previous_until: Vec<Timestamp>,
    /// What it calls itself where it shows a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<ToldBasic>,
    /// Whether it signs requests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signing: bool,
}

/// What is told of a user name and a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Basic")]
pub struct ToldBasic {
    /// The name.
    pub username: Username,
}

impl ApiKey {
    /// What may be told of it.
    pub fn told(&self) -> ToldKey {
        let own = self.particulars();
        ToldKey {
            id: self.id,
            terms: self.terms(),
            rotated_at: own.rotated_at,
            revoked_at: own.revoked_at,
            previous_until: own.previous.iter().map(|earlier| earlier.until).collect(),
            basic: own.basic.as_ref().map(|basic| ToldBasic {
                username: basic.username.clone(),
            }),
            signing: own.signing.is_some(),
        }
    }
}

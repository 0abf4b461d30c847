//! Whether a request must say who sends it, and by what.

use std::fmt;

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, value},
};

/// What a route asks of those who send requests. Written as the mode alone, or as `{mode, accept}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Auth {
    /// Whether they must say who they are.
    pub mode: AuthMode,
    /// By what they may; none: by whatever the gateway knows.
    accept: Option<Accepted>,
}

/// Whether a request must say who sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AuthMode {
    /// Nobody is asked.
    #[default]
    None,
    /// A credential is checked if one is there.
    Optional,
    /// No valid credential, no answer.
    Required,
}

/// By what a client may say who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CredentialKind {
    /// The secret of an API key.
    ApiKey,
    /// The signature of an API key.
    Signature,
    /// A token of a provider.
    Jwt,
    /// The user name and password of an API key.
    Basic,
    /// A certificate of the client that stands for an API key.
    Certificate,
}

impl CredentialKind {
    const EACH: [Self; 5] = [
        Self::ApiKey,
        Self::Signature,
        Self::Jwt,
        Self::Basic,
        Self::Certificate,
    ];

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// At least one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Accepted(u8);

impl Auth {
    /// Whether credentials of this kind are taken.
    pub fn accepts(self, kind: CredentialKind) -> bool {
        self.accept.is_none_or(|Accepted(kinds)| kinds & kind.bit() != 0)
    }

    /// Whether credentials of this kind are asked for by name.
    pub fn names(self, kind: CredentialKind) -> bool {
        self.accept.is_some() && self.accepts(kind)
    }

    /// The lowest schema level that can read it: which credentials are taken is said since the fourth.
    pub(crate) fn reader_level(self) -> u32 {
        if self.accept.is_some() { 4 } else { 1 }
    }
}

impl From<AuthMode> for Auth {
    fn from(mode: AuthMode) -> Self {
        Self { mode, accept: None }
    }
}

impl Accepted {
    fn iter(self) -> impl Iterator<Item = CredentialKind> {
        let each = CredentialKind::EACH.into_iter();
        each.filter(move |kind| self.0 & kind.bit() != 0)
    }
}

impl Serialize for Accepted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Accepted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kinds = Vec::<CredentialKind>::deserialize(deserializer)?;
        if kinds.is_empty() {
            return Err(de::Error::custom(
                "`accept` lists at least one kind; leave it out to take all",
            ));
        }
        Ok(Self(kinds.iter().fold(0, |set, kind| set | kind.bit())))
    }
}

/// The form with both.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename = "Auth", deny_unknown_fields)]
#[schemars(rename = "AuthWithKinds")]
struct Full {
    /// Whether a request must say who sends it.
    mode: AuthMode,
    /// The kinds of credentials that are taken; absent: all. Another one is refused with 401.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<CredentialKind>", length(min = 1))]
    accept: Option<Accepted>,
}

impl Serialize for Auth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { mode, accept } = *self;
        if accept.is_none() {
            return mode.serialize(serializer);
        }
        Full { mode, accept }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Auth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ModeOrFull;
        impl<'de> de::Visitor<'de> for ModeOrFull {
            type Value = Auth;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("`none`, `optional` or `required`, or `{mode, accept}`")
            }
            fn visit_str<E: de::Error>(self, mode: &str) -> Result<Auth, E> {
                AuthMode::deserialize(value::StrDeserializer::new(mode)).map(Auth::from)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Auth, A::Error> {
                let Full { mode, accept } = Full::deserialize(value::MapAccessDeserializer::new(map))?;
                if mode == AuthMode::None && accept.is_some() {
                    return Err(de::Error::custom(
                        "`accept` says what is taken where somebody is asked: leave it out, or let `mode` be `required` or `optional`",
                    ));
                }
                Ok(Auth { mode, accept })
            }
        }
        deserializer.deserialize_any(ModeOrFull)
    }
}

impl JsonSchema for Auth {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Auth".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mode = generator.subschema_for::<AuthMode>();
        let full = generator.subschema_for::<Full>();
        schemars::json_schema!({
            "description": "Whether a request must say who sends it, and by what it may",
            "oneOf": [mode, full]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_is_a_mode_or_written_in_full() {
        let check = |json: &str, written: Option<&str>| {
            let read = serde_json::from_str::<Auth>(json);
            let again = read
                .as_ref()
                .ok()
                .map(|auth| serde_json::to_string(auth).unwrap());
            assert_eq!(again.as_deref(), written, "{json}: {read:?}");
        };
        check(r#""required""#, Some(r#""required""#));
        check(r#"{"mode":"optional"}"#, Some(r#""optional""#));
        check(
            r#"{"mode":"required","accept":["jwt","apiKey","jwt"]}"#,
            Some(r#"{"mode":"required","accept":["apiKey","jwt"]}"#),
        );
        for wrong in [
            r#""always""#,
            "true",
            r#"{"accept":["jwt"]}"#,
            r#"{"mode":"required","accept":[]}"#,
            r#"{"mode":"required","accept":["password"]}"#,
            r#"{"mode":"required","accepts":["jwt"]}"#,
            r#"{"mode":"none","accept":["jwt"]}"#,
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn what_is_not_listed_is_not_taken_and_no_list_takes_all() {
        let all = Auth::from(AuthMode::Required);
        let some: Auth = serde_json::from_str(r#"{"mode":"required","accept":["jwt","basic"]}"#).unwrap();
        for kind in CredentialKind::EACH {
            let is_listed = matches!(kind, CredentialKind::Jwt | CredentialKind::Basic);
            assert!(all.accepts(kind) && !all.names(kind));
            assert_eq!((some.accepts(kind), some.names(kind)), (is_listed, is_listed));
        }
    }
}

//! Origins of web pages: `https://app.example.com`, `https://*.example.com:8443`, `*.example.com`.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    HostPattern,
    authority::{AuthorityError, host_and_port},
};

/// The most patterns in a list.
const PATTERNS_MAX: usize = 64;
/// Stands for every origin.
const ANY: &str = "*";

/// Some origins. Written as a list, or as one text where it is one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origins {
    /// Every page there is.
    Any,
    /// Those that one of these takes.
    Listed(Box<[OriginPattern]>),
}

impl Origins {
    /// Whether an `Origin` field's value is one of them.
    pub fn contain(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(patterns) => patterns.iter().any(|pattern| pattern.matches(origin)),
        }
    }
}

impl TryFrom<Vec<String>> for Origins {
    type Error = String;
    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        match &*texts {
            [] => Err("the list of origins is empty".to_owned()),
            [any] if any == ANY => Ok(Self::Any),
            many if many.len() > PATTERNS_MAX => Err(format!("at most {PATTERNS_MAX} origins")),
            some => {
                let patterns = some.iter().map(|text| text.parse::<OriginPattern>());
                let patterns = patterns.collect::<Result<_, _>>();
                patterns.map(Self::Listed).map_err(|error| error.to_string())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Origins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrList;
        impl<'de> de::Visitor<'de> for TextOrList {
            type Value = Origins;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("`*`, an origin, or a list of origins")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Origins, E> {
                vec![text.to_owned()].try_into().map_err(E::custom)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Origins, A::Error> {
                let texts = Vec::deserialize(de::value::SeqAccessDeserializer::new(seq))?;
                texts.try_into().map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(TextOrList)
    }
}

impl Serialize for Origins {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any => serializer.collect_seq([ANY]),
            Self::Listed(patterns) => serializer.collect_seq(patterns.iter().map(ToString::to_string)),
        }
    }
}

impl JsonSchema for Origins {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Origins".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let origin = json_schema!({
            "type": "string",
            "description": "`*` for every page, alone; or an origin, perhaps with `*.` before its host, perhaps without a scheme",
        });
        json_schema!({
            "anyOf": [origin, { "type": "array", "items": origin, "minItems": 1, "maxItems": PATTERNS_MAX }]
        })
    }
}

/// An origin, or all those whose host lies below a name. Without a scheme both `http` and `https`; without a port the
/// default one of the scheme, which no origin names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OriginPattern {
    scheme: Option<Box<str>>,
    host: HostPattern,
    port: Option<u16>,
}

/// Why a string is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// The origin of pages that have none of their own, among others of every sandboxed one.
    #[error("`null` is the origin of whoever hides theirs: nobody can be let in by it")]
    Null,
    /// `*` among others.
    #[error("`*` stands for every page, so it stands alone")]
    Any,
    /// Something before the `://` that is no scheme.
    #[error("{0:?} has no valid scheme: write `https://host`")]
    Scheme(String),
    /// Something after it that is no host, with or without a port.
    #[error("{origin:?} is no origin: {source}")]
    Authority {
        /// As written.
        origin: String,
        /// Why.
        source: AuthorityError,
    },
}

impl OriginPattern {
    /// Whether an origin, as browsers write it (HTML 7.1.1), fits.
    pub fn matches(&self, origin: &str) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        let name_end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
        let (host, port) = match authority[name_end..].find(':') {
            None => (authority, None),
            Some(colon) => {
                let (host, port) = authority.split_at(name_end + colon);
                (host, Some(&port[1..]))
            }
        };
        let is_scheme = match &self.scheme {
            Some(own) => **own == *scheme,
            None => matches!(scheme, "http" | "https"),
        };
        let is_port = match (self.port, port) {
            (None, None) => true,
            (Some(own), Some(port)) => port.parse() == Ok(own),
            (None, Some(_)) | (Some(_), None) => false,
        };
        is_scheme && is_port && self.host.matches(host)
    }
}

impl FromStr for OriginPattern {
    type Err = OriginError;
    fn from_str(text: &str) -> Result<Self, OriginError> {
        let lower = text.to_ascii_lowercase();
        match &*lower {
            "null" => return Err(OriginError::Null),
            ANY => return Err(OriginError::Any),
            _ => {}
        }
        let (scheme, authority) = match lower.split_once("://") {
            Some((scheme, authority)) => (Some(scheme), authority),
            None => (None, &*lower),
        };
        if !scheme.is_none_or(is_scheme) {
            return Err(OriginError::Scheme(text.to_owned()));
        }
        let (host, port) = host_and_port(authority).map_err(|source| OriginError::Authority {
            origin: text.to_owned(),
            source,
        })?;
        let is_default = matches!(
            (scheme, port),
            (Some("http"), Some(80)) | (Some("https"), Some(443))
        );
        Ok(Self {
            scheme: scheme.map(Into::into),
            host,
            port: port.filter(|_| !is_default),
        })
    }
}

/// RFC 3986 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = &self.scheme {
            write!(out, "{scheme}://")?;
        }
        self.host.fmt(out)?;
        match self.port {
            Some(port) => write!(out, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_fits_in_scheme_host_and_port() {
        let check = |pattern: &str, origins: &[(&str, bool)]| {
            let pattern: OriginPattern = pattern.parse().unwrap();
            for (origin, expected) in origins {
                assert_eq!(pattern.matches(origin), *expected, "{pattern} {origin}");
            }
        };
        check(
            "https://App.example.com:443",
            &[
                ("https://app.example.com", true),
                ("http://app.example.com", false),
                ("https://app.example.com:8443", false),
                ("https://app.example.com.evil.test", false),
                ("https://evil.test/https://app.example.com", false),
                ("null", false),
            ],
        );
        check(
            "*.example.com",
            &[
                ("https://a.example.com", true),
                ("http://b.a.example.com", true),
                ("https://example.com", false),
                ("https://evilexample.com", false),
                ("https://a.example.com:8443", false),
                ("ftp://a.example.com", false),
            ],
        );
        check(
            "http://localhost:5173",
            &[("http://localhost:5173", true), ("http://localhost", false)],
        );
        check(
            "http://[::1]:80",
            &[("http://[::1]", true), ("http://[::1]:81", false)],
        );
        check("capacitor://localhost", &[("capacitor://localhost", true)]);
    }

    #[test]
    fn what_can_be_no_origin_is_refused() {
        for text in [
            "null",
            "*",
            "",
            "https://",
            "https://a/",
            "https://a/path",
            "1://a",
            "https://u@a",
            "a:0",
            "*",
        ] {
            assert!(text.parse::<OriginPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_origin_stands_alone() {
        let origins = |json: &str| serde_json::from_str::<Origins>(json);
        assert_eq!(origins(r#""*""#).unwrap(), origins(r#"["*"]"#).unwrap());
        assert!(origins(r#"["https://a", "*"]"#).is_err());
        assert!(origins("[]").is_err());
        assert!(origins(r#""https://a""#).unwrap().contain("https://a"));
    }
}

//! Sets of HTTP methods.

use std::fmt;

use http::Method;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The methods a route can be limited to, in the order they are written (RFC 9110 9.3, RFC 5789).
const KNOWN: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

/// The methods a route takes. Empty means any, also ones that are not in the list above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Methods(u16);

impl Methods {
    /// Any method.
    pub const ANY: Self = Self(0);

    /// Whether any method fits.
    pub fn is_any(&self) -> bool {
        self.0 == 0
    }

    /// How many methods are listed; zero for any.
    pub fn len(&self) -> u32 {
        self.0.count_ones()
    }

    /// Whether none is listed, which means any.
    pub fn is_empty(&self) -> bool {
        self.is_any()
    }

    /// Whether a request with this method fits.
    pub fn contains(&self, method: &Method) -> bool {
        self.is_any() || self.0 & bit(method) != 0
    }

    /// Whether every method that fits `other` fits here too.
    pub fn covers(&self, other: &Self) -> bool {
        self.is_any() || (!other.is_any() && self.0 & other.0 == other.0)
    }

    /// The methods of both lists. Meaningless for [`Methods::ANY`], which lists none.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The methods listed, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Method> + '_ {
        KNOWN.iter().filter(|method| self.0 & bit(method) != 0).cloned()
    }
}

fn bit(method: &Method) -> u16 {
    KNOWN
        .iter()
        .position(|known| known == method)
        .map_or(0, |position| 1 << position)
}

impl FromIterator<Method> for Methods {
    fn from_iter<I: IntoIterator<Item = Method>>(methods: I) -> Self {
        Self(methods.into_iter().fold(0, |set, method| set | bit(&method)))
    }
}

/// The form of the `Allow` field (RFC 9110 10.2.1).
impl fmt::Display for Methods {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, method) in self.iter().enumerate() {
            write!(out, "{}{method}", if position == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl Serialize for Methods {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|method| method.as_str().to_owned()))
    }
}

/// One of a list, so that a mistake in it is found where it stands.
struct Listed(Method);

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let found = KNOWN
            .iter()
            .find(|method| method.as_str().eq_ignore_ascii_case(&name));
        found.cloned().map(Self).ok_or_else(|| {
            de::Error::custom(format_args!(
                "{name:?} is no method a route can list; leave `methods` out to take any"
            ))
        })
    }
}

impl<'de> Deserialize<'de> for Methods {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let listed = Vec::<Listed>::deserialize(deserializer)?;
        Ok(listed.into_iter().map(|Listed(method)| method).collect())
    }
}

impl schemars::JsonSchema for Methods {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Methods".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names = KNOWN.map(|method| method.as_str().to_owned());
        schemars::json_schema!({
            "description": "the methods taken; empty or absent: any",
            "type": "array",
            "items": { "enum": names }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_takes_any_method() {
        let any: Methods = serde_json::from_str("[]").unwrap();
        assert!(any.contains(&Method::from_bytes(b"PROPFIND").unwrap()));
        let get: Methods = serde_json::from_str("[\"get\"]").unwrap();
        assert!(get.contains(&Method::GET) && !get.contains(&Method::POST));
        assert!(!get.contains(&Method::from_bytes(b"PROPFIND").unwrap()));
        assert!(serde_json::from_str::<Methods>("[\"PROPFIND\"]").is_err());
    }

    #[test]
    fn the_order_is_fixed_whatever_was_written() {
        let methods: Methods = serde_json::from_str("[\"POST\",\"get\",\"POST\"]").unwrap();
        assert_eq!(methods.to_string(), "GET, POST");
        assert_eq!(serde_json::to_string(&methods).unwrap(), "[\"GET\",\"POST\"]");
    }
}

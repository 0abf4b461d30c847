//! Where in the claims of a token something stands.

use std::{fmt, str::FromStr};

use serde_json::{Map, Value};

/// A claim: by its name, or by a JSON pointer (RFC 6901) where it is within another: `/realm_access/roles`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimName(Box<str>);

/// Why a string names no claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a claim is named in 1 to 128 characters, or by a JSON pointer such as `/realm_access/roles`")]
pub struct ClaimNameError;

impl ClaimName {
    /// What these claims have there.
    pub fn of<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let Some(pointer) = self.0.strip_prefix('/') else {
            return claims.get(&*self.0);
        };
        let (first, rest) = match pointer.split_once('/') {
            Some((first, _)) => (first, &self.0[1 + first.len()..]),
            None => (pointer, ""),
        };
        claims
            .get(&first.replace("~1", "/").replace("~0", "~"))?
            .pointer(rest)
    }
}

impl FromStr for ClaimName {
    type Err = ClaimNameError;
    fn from_str(text: &str) -> Result<Self, ClaimNameError> {
        let fits = (1..=128).contains(&text.len()) && text != "/" && !text.chars().any(char::is_control);
        fits.then(|| Self(text.into())).ok_or(ClaimNameError)
    }
}

impl fmt::Display for ClaimName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

text_value!(
    ClaimName,
    "the name of a claim, or a JSON pointer to one",
    r"^[^\x00-\x1f\x7f]{1,128}$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_found_by_name_or_by_pointer() {
        let claims = r#"{"sub":"a","https://x/roles":["b"],"realm":{"roles":["c","d"],"a/b":1}}"#;
        let claims: Map<String, Value> = serde_json::from_str(claims).unwrap();
        let check = |name: &str, expected: Option<&str>| {
            let found = name.parse::<ClaimName>().unwrap();
            let found = found.of(&claims).map(Value::to_string);
            assert_eq!(found.as_deref(), expected, "{name}");
        };
        check("sub", Some(r#""a""#));
        check("/sub", Some(r#""a""#));
        check("https://x/roles", Some(r#"["b"]"#));
        check("/realm/roles/1", Some(r#""d""#));
        check("/realm/a~1b", Some("1"));
        check("/https:~1~1x~1roles/0", Some(r#""b""#));
        check("realm.roles", None);
        check("/realm/none", None);
        check("//", None);
        for wrong in ["", "/", "a\n"] {
            assert!(wrong.parse::<ClaimName>().is_err(), "{wrong:?}");
        }
    }
}

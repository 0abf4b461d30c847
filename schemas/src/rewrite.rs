//! Rewrites: the path that is forwarded instead of the one that was matched.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{
    PathTemplate,
    path::normal_text,
    whole_regex::{PathRegex, WholeRegex},
};

/// How the forwarded path is made. Written as a template, or as an expression and what takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Rewrite {
    /// From the parts of the route's pattern.
    Template(PathTemplate),
    /// From the groups of a regular expression.
    Regex(RegexRewrite),
}

/// A path that matches the expression is replaced; another is forwarded as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Unchecked")]
pub struct RegexRewrite {
    regex: PathRegex,
    to: Replacement,
}

impl RegexRewrite {
    /// The path in place of this one, which is then to be brought into normal form; none if it does not match.
    pub fn replace(&self, path: &str) -> Option<String> {
        let groups = self.regex.as_regex().captures(path.as_bytes())?;
        let mut replaced = String::with_capacity(path.len() + 16);
        for piece in &self.to.0 {
            match piece {
                Piece::Text(text) => replaced.push_str(text),
                Piece::Group(number) => {
                    let range = groups.get(*number).map(|group| group.range());
                    replaced.push_str(&path[range.unwrap_or_default()]); // a path is ASCII, so any range of bytes is one of text
                }
            }
        }
        if !replaced.starts_with('/') {
            replaced.insert(0, '/');
        }
        Some(replaced)
    }
}

/// A [`RegexRewrite`] as it is written, whose groups were not counted yet.
#[derive(Deserialize, JsonSchema)]
#[serde(rename = "RegexRewrite", deny_unknown_fields)]
struct Unchecked {
    /// What the whole path, in normal form, must match; another one is forwarded as it is.
    regex: PathRegex,
    /// The path in its place: `$1` and `${1}` stand for what the first group matched, `$$` for a dollar sign.
    to: Replacement,
}

impl TryFrom<Unchecked> for RegexRewrite {
    type Error = String;
    fn try_from(Unchecked { regex, to }: Unchecked) -> Result<Self, String> {
        let groups = WholeRegex::groups(regex.as_regex());
        let missing = to.0.iter().find_map(|piece| match piece {
            Piece::Group(number) if *number > groups => Some(number),
            Piece::Group(_) | Piece::Text(_) => None,
        });
        match missing {
            Some(number) => Err(format!(
                "there is no ${number}: the groups of {regex} end with ${groups} (before a digit write ${{1}})"
            )),
            None => Ok(Self { regex, to }),
        }
    }
}

impl<'de> Deserialize<'de> for Rewrite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrFull;
        impl<'de> de::Visitor<'de> for TextOrFull {
            type Value = Rewrite;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a path such as `/v2/:id/*`, or `{regex, to}`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Rewrite, E> {
                text.parse().map(Rewrite::Template).map_err(E::custom)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Rewrite, A::Error> {
                RegexRewrite::deserialize(de::value::MapAccessDeserializer::new(map)).map(Rewrite::Regex)
            }
        }
        deserializer.deserialize_any(TextOrFull)
    }
}

impl JsonSchema for Rewrite {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rewrite".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [generator.subschema_for::<PathTemplate>(), generator.subschema_for::<RegexRewrite>()]
        })
    }
}

/// A path with groups of an expression in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Replacement(Box<[Piece]>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Piece {
    /// In normal form.
    Text(Box<str>),
    /// What the group of this number matched; 0 is the whole path.
    Group(usize),
}

/// Why a string is no replacement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum ReplacementError {
    #[error("`$` is followed by the number of a group, `$1` or `${{1}}`, or by another `$`")]
    Dollar,
    #[error("no path can have {text:?}: {reason}")]
    Text { text: String, reason: &'static str },
}

impl FromStr for Replacement {
    type Err = ReplacementError;
    fn from_str(text: &str) -> Result<Self, ReplacementError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            literal.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                literal.push('$');
                rest = after;
                continue;
            }
            let (number, after) = group(after).ok_or(ReplacementError::Dollar)?;
            pieces.extend(text_piece(&std::mem::take(&mut literal))?);
            pieces.push(Piece::Group(number));
            rest = after;
        }
        literal.push_str(rest);
        pieces.extend(text_piece(&literal)?);
        Ok(Self(pieces.into()))
    }
}

/// The number at the beginning, in braces or not, and what follows.
fn group(text: &str) -> Option<(usize, &str)> {
    let (number, after) = match text.strip_prefix('{') {
        Some(braced) => braced.split_once('}')?,
        None => text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())),
    };
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    Some((number.parse().ok().filter(|_| is_number)?, after))
}

fn text_piece(text: &str) -> Result<Option<Piece>, ReplacementError> {
    let refuse = |reason| {
        let text = text.to_owned();
        Err(ReplacementError::Text { text, reason })
    };
    if text.contains(['?', '#']) {
        return refuse("a rewrite is of the path alone; the query is edited by `query`");
    }
    match normal_text(text) {
        Err(reason) => refuse(reason),
        Ok(normal) if normal.contains("%2F") || normal.contains("%5C") => {
            refuse("an encoded slash can only come from the client")
        }
        Ok(normal) => Ok((!normal.is_empty()).then(|| Piece::Text(normal.into()))),
    }
}

impl fmt::Display for Replacement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.write_str(&text.replace('$', "$$"))?,
                Piece::Group(number) => write!(out, "${{{number}}}")?,
            }
        }
        Ok(())
    }
}

text_value!(
    Replacement,
    "a path, in which `$1` stands for what the first group matched",
    "^.*$"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(regex: &str, to: &str) -> Result<RegexRewrite, String> {
        let json = serde_json::json!({ "regex": regex, "to": to });
        serde_json::from_value(json).map_err(|error| error.to_string())
    }

    #[test]
    fn groups_are_put_in() {
        let check = |regex: &str, to: &str, path: &str, replaced: Option<&str>| {
            let rewrite = rewrite(regex, to).unwrap();
            assert_eq!(rewrite.replace(path).as_deref(), replaced, "{regex} {to} {path}");
        };
        check("^/v1/(.*)$", "/$1", "/v1/users/7", Some("/users/7"));
        check("/v1/(.*)", "/$1", "/v2/users", None);
        check("/v1(/.*)?", "$1", "/v1", Some("/"));
        check("/(a)/(b)", "/${2}1/$$/$0", "/a/b", Some("/b1/$//a/b"));
        check("/(?P<name>.*)", "/é/$1", "/x", Some("/%C3%A9/x"));
        check("/a", "", "/a", Some("/"));
    }

    #[test]
    fn a_replacement_is_written_in_one_way() {
        let json = serde_json::to_value(rewrite("/(.*)", "/$$/$1").unwrap()).unwrap();
        assert_eq!(json["to"], "/$$/${1}");
        assert_eq!(
            serde_json::from_value::<RegexRewrite>(json).unwrap(),
            rewrite("/(.*)", "/$$/$1").unwrap()
        );
    }

    #[test]
    fn what_cannot_be_filled_or_forwarded_is_refused() {
        let check = |regex: &str, to: &str, reason: &str| {
            let error = rewrite(regex, to).unwrap_err();
            assert!(error.contains(reason), "{regex} {to}: {error}");
        };
        check("/(.*)", "/$2", "end with $1");
        check("/(.*)", "/$1x$12", "no $12");
        check("/(.*)", "/$name", "followed by the number");
        check("/(.*)", "/${+1}", "followed by the number");
        check("/(.*)", "/$1?a=b", "edited by `query`");
        check("/(.*)", "/a b", "escapes");
        check("/(.*)", "/a%2fb", "encoded slash");
        check("/(.*)", "/%$1", "two hexadecimal digits");
        check("/(", "/", "regular expression");
    }
}

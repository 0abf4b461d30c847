//! `${NAME}` and `${NAME:-default}` in the values of a file, by the environment of the process that reads it. `$${` is
//! `${` itself.
//!
//! References in fields for secrets stay references: what an event holds is for each node to resolve. In the values of
//! edits a name with a dot is a variable of the request (`${client.address}`), and in those of rewrites a number is a
//! group (`${1}`), which stay, too: no name in an environment has a dot or begins with a digit.

use std::{collections::BTreeMap, ops::Range};

use super::tree::{Node, Value};

/// Keys whose values stay references.
const SECRET_KEYS: [&str; 2] = ["authorization", "secret"];
/// Keys below which values may have variables of the request.
const TEMPLATE_KEYS: [&str; 3] = ["set", "add", "to"];

/// Whose `${...}` are resolved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// All of them.
    All,
    /// Those that are no variables of a request.
    Environment,
}

/// A reference that cannot be resolved.
pub(super) struct Unresolved {
    pub(super) message: String,
    pub(super) help: &'static str,
    pub(super) place: Range<usize>,
}

/// Resolves the references in every value below this one.
pub(super) fn resolve(
    node: &mut Node,
    text: &str,
    variables: &BTreeMap<String, String>,
    wrong: &mut Vec<Unresolved>,
) {
    resolve_in(Scope::All, node, text, variables, wrong);
}

fn resolve_in(
    scope: Scope,
    node: &mut Node,
    text: &str,
    variables: &BTreeMap<String, String>,
    wrong: &mut Vec<Unresolved>,
) {
    let place = node.place();
    let quoted = node.written(text).starts_with(['"', '\'']);
    match &mut node.value {
        Value::List(items) => items
            .iter_mut()
            .for_each(|item| resolve_in(scope, item, text, variables, wrong)),
        Value::Map(entries) => {
            for (key, value) in entries {
                if let Some(scope) = scope.below(&key.text) {
                    resolve_in(scope, value, text, variables, wrong);
                }
            }
        }
        Value::Text(value) if value.contains("${") => match expand(value, scope, variables) {
            Ok(expanded) if quoted => node.value = Value::Text(expanded),
            Ok(expanded) => node.value = plain(expanded),
            Err((message, help)) => wrong.push(Unresolved { message, help, place }),
        },
        Value::Text(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Unsigned(_)
        | Value::Signed(_)
        | Value::Float(_) => {}
    }
}

/// What a value without quotes means in YAML, as far as our keys ask for it.
fn plain(text: String) -> Value {
    match &*text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        number => number.parse().map_or(Value::Text(text), Value::Unsigned),
    }
}

fn expand(
    text: &str,
    scope: Scope,
    variables: &BTreeMap<String, String>,
) -> Result<String, (String, &'static str)> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let reference = after.split_once('}');
        if scope.leaves(reference) {
            let (_, after) = reference.expect("what is left alone is closed");
            expanded.push_str(&rest[..rest.len() - after.len()]);
            rest = after;
            continue;
        }
        if let Some(escaped) = before.strip_suffix('$') {
            expanded.push_str(escaped);
            expanded.push_str("${");
            rest = after;
            continue;
        }
        let Some((reference, after)) = reference else {
            return Err((
                "`${` is not closed".to_owned(),
                "write ${NAME} or ${NAME:-default}, or $${ for the characters themselves",
            ));
        };
        let (name, default) = parts(reference);
        let value = variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
            .or(default);
        let Some(value) = value else {
            return Err((
                format!("the variable {name:?} is not set"),
                "set it, or give a default: ${NAME:-default}",
            ));
        };
        expanded.push_str(before);
        expanded.push_str(value);
        rest = after;
    }
    Ok(expanded + rest)
}

/// Name and default of a reference.
fn parts(reference: &str) -> (&str, Option<&str>) {
    reference
        .split_once(":-")
        .map_or((reference, None), |(name, text)| (name, Some(text)))
}

impl Scope {
    /// The scope of what stands below a key; none where nothing is resolved.
    fn below(self, key: &str) -> Option<Self> {
        if SECRET_KEYS.contains(&key) {
            None
        } else if TEMPLATE_KEYS.contains(&key) {
            Some(Self::Environment)
        } else {
            Some(self)
        }
    }

    /// Whether what follows a `${` is for somebody else to resolve: up to the brace that closes it, if one does.
    fn leaves(self, reference: Option<(&str, &str)>) -> bool {
        let is_theirs = |(reference, _): (&str, &str)| {
            let (name, _) = parts(reference);
            name.contains('.') || name.starts_with(|first: char| first.is_ascii_digit())
        };
        self == Self::Environment && reference.is_some_and(is_theirs)
    }
}

/// Writes every `${` that would be resolved so that it is not: what this makes of a value, [`resolve`] makes that value of.
pub(super) fn escape(value: &mut serde_json::Value) {
    escape_in(Scope::All, value);
}

fn escape_in(scope: Scope, value: &mut serde_json::Value) {
    use serde_json::Value as Json;
    match value {
        Json::Array(items) => items.iter_mut().for_each(|item| escape_in(scope, item)),
        Json::Object(fields) => {
            for (key, value) in fields {
                if let Some(scope) = scope.below(key) {
                    escape_in(scope, value);
                }
            }
        }
        Json::String(text) if text.contains("${") => *text = escaped(text, scope),
        Json::String(_) | Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

fn escaped(text: &str, scope: Scope) -> String {
    let mut escaped = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let reference = after.split_once('}');
        let end = match reference {
            Some((_, after)) if scope.leaves(reference) => rest.len() - after.len(),
            _ => {
                escaped.push_str(before);
                escaped.push_str("$${");
                rest = after;
                continue;
            }
        };
        escaped.push_str(&rest[..end]);
        rest = &rest[end..];
    }
    escaped + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_becomes_its_value_or_its_default() {
        let variables = [
            ("HOST".to_owned(), "api".to_owned()),
            ("EMPTY".to_owned(), String::new()),
        ]
        .into();
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(
                expand(text, Scope::All, &variables).ok().as_deref(),
                expected,
                "{text}"
            );
        };
        check("http://${HOST}:${PORT:-8080}/x", Some("http://api:8080/x"));
        check("${EMPTY:-b}", Some("b"));
        check("${OTHER}", None);
        check("${HOST", None);
        check("$HOST", Some("$HOST"));
        check("${request.id}", None);
        check(
            "$${HOST}, $$${HOST}, $${ and ${HOST}",
            Some("${HOST}, $${HOST}, ${ and api"),
        );
    }

    #[test]
    fn a_variable_of_the_request_stays_where_there_may_be_one() {
        let variables = [("HOST".to_owned(), "api".to_owned())].into();
        let text = "${HOST}/${request.id}/${path.a}-${PORT:-8.0}${1}";
        let expanded = expand(text, Scope::Environment, &variables);
        assert_eq!(
            expanded.ok().as_deref(),
            Some("api/${request.id}/${path.a}-8.0${1}")
        );
    }

    proptest::proptest! {
        #[test]
        fn what_is_escaped_is_read_as_what_it_was(text in r"([$]|[{]|[}]|[.1A]|:-){0,12}") {
            for scope in [Scope::All, Scope::Environment] {
                let read = expand(&escaped(&text, scope), scope, &BTreeMap::new()).ok();
                proptest::prop_assert_eq!(read.as_ref(), Some(&text));
            }
        }
    }
}

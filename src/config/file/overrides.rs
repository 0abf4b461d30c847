//! Keys of a file that its reader's environment says otherwise: `FLEXGATE_LIMITS__MAX_BODY_SIZE=5mb` is `limits.maxBodySize`.
//!
//! Which keys there are is said by the schema. Upstreams and routes are lists, and no variable reaches into those.

use std::{collections::BTreeMap, ops::Range};

use serde_json::{Value as Json, json};

use super::{
    schema::schema,
    suggest,
    tree::{Key, Node, Value},
};

const PREFIX: &str = "FLEXGATE_";
/// Between a key and the one below it.
const BELOW: &str = "__";

/// What the variables said: each has a place of its own behind the end of the text.
#[derive(Default)]
pub(super) struct Overrides {
    names: Vec<String>,
    text_end: usize,
}

/// A variable that is no key.
pub(super) struct Unknown {
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) place: Range<usize>,
}

/// Whether a variable is one of these.
pub(super) fn is_one(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.contains(BELOW))
}

impl Overrides {
    /// Puts the values of the variables into the file.
    pub(super) fn put(
        tree: &mut Node,
        text: &str,
        variables: &BTreeMap<String, String>,
        wrong: &mut Vec<Unknown>,
    ) -> Self {
        let mut given: Vec<_> = variables
            .iter()
            .filter(|(name, value)| is_one(name) && !value.is_empty())
            .peekable()
            .collect();
        let mut overrides = Self {
            names: Vec::new(),
            text_end: text.len(),
        };
        if given.is_empty() {
            return overrides;
        }
        let document = schema();
        // A key before those below it.
        given.sort_by_key(|(name, _)| name.len());
        for (name, value) in given {
            let place = overrides.next(name);
            match find(&document, name) {
                Ok((path, said)) => insert(tree, &path, value_of(&document, said, value, &place), &place),
                Err((message, help)) => wrong.push(Unknown { message, help, place }),
            }
        }
        overrides
    }

    fn next(&mut self, name: &str) -> Range<usize> {
        self.names.push(name.to_owned());
        let place = self.text_end + self.names.len();
        place..place
    }

    /// The variable that a place stands for.
    pub(super) fn at(&self, place: &Range<usize>) -> Option<&str> {
        let index = place.start.checked_sub(self.text_end + 1)?;
        self.names.get(index).map(String::as_str)
    }
}

type Found<'d> = (Vec<&'d str>, &'d Json);

/// The key that a variable names, and what the schema says of it.
fn find<'d>(document: &'d Json, variable: &str) -> Result<Found<'d>, (String, Option<String>)> {
    let mut path: Vec<&str> = Vec::new();
    let mut schema = document;
    for word in variable.trim_start_matches(PREFIX).split(BELOW) {
        let keys: Vec<&str> = mapping(document, schema)
            .and_then(|mapping| mapping["properties"].as_object())
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str())
            .collect();
        let plain = word.replace('_', "").to_lowercase();
        let Some(key) = keys.iter().find(|key| key.to_lowercase() == plain) else {
            let above = if path.is_empty() {
                "a file".to_owned()
            } else {
                format!("`{}`", path.join("."))
            };
            let message = format!("{above} has no key that {word} could be");
            return Err((message, suggest::key(word, &keys)));
        };
        path.push(key);
        let mapping = mapping(document, schema).unwrap_or(&Json::Null);
        schema = &mapping["properties"][*key];
    }
    let kinds = kinds(document, schema);
    if kinds.iter().all(|kind| matches!(*kind, "object" | "null")) {
        let message = format!("`{}` has keys of its own", path.join("."));
        return Err((message, Some(format!("name one of them: {variable}{BELOW}KEY"))));
    }
    Ok((path, schema))
}

/// What a schema leads to, with what its alternatives lead to.
fn parts<'d>(document: &'d Json, schema: &'d Json) -> Vec<&'d Json> {
    let referred = schema["$ref"]
        .as_str()
        .filter(|name| !name.ends_with("/Variable"));
    let target = referred.and_then(|path| document.pointer(path.strip_prefix('#')?));
    let alternatives = ["anyOf", "oneOf"]
        .into_iter()
        .filter_map(|keyword| schema[keyword].as_array())
        .flatten();
    let below = target
        .into_iter()
        .chain(alternatives)
        .flat_map(|part| parts(document, part));
    std::iter::once(schema).chain(below).collect()
}

fn mapping<'d>(document: &'d Json, schema: &'d Json) -> Option<&'d Json> {
    parts(document, schema)
        .into_iter()
        .find(|part| part["properties"].is_object())
}

fn kinds<'d>(document: &'d Json, schema: &'d Json) -> Vec<&'d str> {
    let types = parts(document, schema)
        .into_iter()
        .flat_map(|part| match &part["type"] {
            Json::Array(kinds) => kinds.iter().filter_map(Json::as_str).collect(),
            kind => kind.as_str().into_iter().collect::<Vec<_>>(),
        });
    types.collect()
}

/// The text of a variable as a value of a kind that can stand there; items of a list have commas between them.
fn value_of(document: &Json, schema: &Json, text: &str, place: &Range<usize>) -> Node {
    let kinds = kinds(document, schema);
    let value = if kinds.contains(&"array") {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        Value::List(
            items
                .map(|item| value_of(document, &json!({ "type": "string" }), item, place))
                .collect(),
        )
    } else {
        scalar(&kinds, text)
    };
    Node::made_up(value, place)
}

fn scalar(kinds: &[&str], text: &str) -> Value {
    let number = kinds.contains(&"number");
    match text {
        "true" | "false" if kinds.contains(&"boolean") => Value::Bool(text == "true"),
        _ => text
            .parse()
            .ok()
            .filter(|_| number || kinds.contains(&"integer"))
            .map(Value::Unsigned)
            .or_else(|| text.parse().ok().filter(|_| number).map(Value::Float))
            .unwrap_or_else(|| Value::Text(text.to_owned())),
    }
}

fn insert(tree: &mut Node, path: &[&str], value: Node, place: &Range<usize>) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if !matches!(tree.value, Value::Map(_)) {
        tree.value = Value::Map(Vec::new());
    }
    let before = tree.take(first);
    if rest.is_empty() {
        return tree.put(Key::made_up(first, place), value);
    }
    let nothing = || {
        (
            Key::made_up(first, place),
            Node::made_up(Value::Map(Vec::new()), place),
        )
    };
    let (key, mut section) = before.unwrap_or_else(nothing);
    insert(&mut section, rest, value, place);
    tree.put(key, section);
}

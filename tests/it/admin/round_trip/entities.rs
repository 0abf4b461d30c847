//! Entities of all shapes: made by their JSON Schemas, with the values that golden events and people have for their fields.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
};

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// Texts that YAML, or what resolves variables, could take for something else.
const ODD_TEXTS: [&str; 30] = [
    "",
    " leading",
    "trailing ",
    "no",
    "~",
    "null",
    "true",
    "1e3",
    "0x1F",
    "0o17",
    "1_000",
    ".5",
    ".inf",
    "12:30:45",
    "2026-01-01",
    "- item",
    "key: value",
    "# no comment",
    "a #b",
    "'single' \"double\"",
    "back\\slash",
    "{flow}",
    "[list]",
    "*alias",
    "&anchor",
    "%percent",
    "${HOME}",
    "$${HOME} ${request.id} ${",
    "Zoë — 東京 🦀",
    "a\u{2028}b",
];

/// How deep a value is made; what is deeper is left out.
const DEPTH_MAX: usize = 6;

/// The entities of golden events, each with its kind.
pub(super) fn goldens() -> Vec<(String, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/golden/events");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let changes = files.filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.contains(".created.") || name.contains(".updated.")
    });
    let mut entities: Vec<_> = changes
        .map(|path| {
            let event: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            let kind = event["type"].as_str().unwrap().split('.').nth(2).unwrap();
            (kind.to_owned(), event["data"].clone())
        })
        .collect();
    entities.sort_by_key(|(kind, data)| (kind.clone(), data.to_string()));
    entities
}

/// Makes entities of the choices that it is given, so that fewer choices make simpler ones.
pub(super) struct Maker<'c> {
    choices: std::slice::Iter<'c, u8>,
    known: &'c Known,
}

/// Values by the names of their fields, and which fields were made.
pub(super) struct Known {
    values: BTreeMap<String, Vec<Value>>,
    made: RefCell<BTreeSet<String>>,
}

impl Known {
    pub(super) fn from_goldens() -> Self {
        let mut known = Self {
            values: BTreeMap::new(),
            made: RefCell::default(),
        };
        for (_, data) in goldens() {
            known.learn("", &data);
        }
        known
    }

    /// With more values for a field.
    pub(super) fn with(mut self, field: &str, values: &[Value]) -> Self {
        self.values
            .entry(field.to_owned())
            .or_default()
            .extend(values.iter().cloned());
        self
    }

    fn learn(&mut self, name: &str, value: &Value) {
        let known = self.values.entry(name.to_owned()).or_default();
        if !known.contains(value) {
            known.push(value.clone());
        }
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| self.learn(name, value)),
            Value::Array(items) => items
                .iter()
                .for_each(|item| self.learn(&format!("{name}[]"), item)),
            _ => {}
        }
    }

    /// Notes what an entity has that was taken.
    pub(super) fn was_made(&self, name: &str, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields {
                    let name = format!("{name}.{field}");
                    self.was_made(&name, value);
                    self.made.borrow_mut().insert(name);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.was_made(name, item)),
            _ => {}
        }
    }

    /// The fields of a type that no entity had.
    pub(super) fn never_made<T: JsonSchema>(&self, name: &str) -> Vec<String> {
        let schema = schemars::schema_for!(T).to_value();
        let mut missing = Vec::new();
        self.never_in(&schema, &schema, name, &mut missing);
        missing
    }

    fn never_in(&self, root: &Value, schema: &Value, name: &str, missing: &mut Vec<String>) {
        let schema = resolved(root, schema);
        for (field, below) in fields(schema) {
            let name = format!("{name}.{field}");
            if !self.made.borrow().contains(&name) {
                missing.push(name.clone());
            }
            self.never_in(root, below, &name, missing);
        }
        for below in branches(schema).chain(schema.get("items")) {
            self.never_in(root, below, name, missing);
        }
    }
}

impl<'c> Maker<'c> {
    pub(super) fn new(choices: &'c [u8], known: &'c Known) -> Self {
        Self {
            choices: choices.iter(),
            known,
        }
    }

    /// A number below a bound; 0 when the choices are used up.
    pub(super) fn choose(&mut self, bound: usize) -> usize {
        usize::from(*self.choices.next().unwrap_or(&0)) % bound
    }

    fn pick<'v, V>(&mut self, values: &'v [V]) -> &'v V {
        &values[self.choose(values.len())]
    }

    /// An entity that has at least these fields, and of the others those that it can have.
    pub(super) fn entity<T: JsonSchema + Serialize + DeserializeOwned>(&mut self, given: &Value) -> Value {
        let schema = schemars::schema_for!(T).to_value();
        let mut entity = given.as_object().unwrap().clone();
        let names: Vec<_> = fields(&schema)
            .filter(|(name, _)| given.get(name).is_none())
            .collect();
        for (name, below) in names {
            if self.choose(3) == 0 {
                continue;
            }
            let value = self.value(&schema, below, name, 0);
            entity.insert(name.clone(), value);
            make_readable::<T>(&mut entity, name);
        }
        // As it is written: two spellings of one value are one.
        let entity: T = serde_json::from_value(Value::Object(entity)).unwrap();
        serde_json::to_value(entity).unwrap()
    }

    fn value(&mut self, root: &Value, schema: &Value, name: &str, depth: usize) -> Value {
        let schema = resolved(root, schema);
        if let Some(known) = self.known.values.get(name)
            && self.choose(2) == 0
        {
            return self.pick(known).clone();
        }
        let branches: Vec<_> = branches(schema).collect();
        if !branches.is_empty() {
            let branch = *self.pick(&branches);
            return self.value(root, branch, name, depth);
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return self.pick(values).clone();
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        let kind = &schema["type"];
        let kind = kind.as_str().or_else(|| kind[0].as_str()).unwrap_or_default();
        match kind {
            "object" if depth < DEPTH_MAX => {
                let mut object = Map::new();
                let required = schema["required"].as_array().cloned().unwrap_or_default();
                for (field, below) in fields(schema) {
                    if required.iter().any(|name| name == field) || self.choose(2) == 1 {
                        object.insert(field.clone(), self.value(root, below, field, depth + 1));
                    }
                }
                Value::Object(object)
            }
            "array" if depth < DEPTH_MAX => {
                let name = format!("{name}[]");
                (0..self.choose(4))
                    .map(|_| self.value(root, &schema["items"], &name, depth + 1))
                    .collect()
            }
            "string" => json!(self.pick(&ODD_TEXTS)),
            "boolean" => json!(self.choose(2) == 1),
            "number" => json!(self.pick(&[0.5, 0.1, 1.0, 1e-7])),
            "integer" => {
                let least = schema["minimum"].as_u64().unwrap_or(0);
                let most = schema["maximum"].as_u64().unwrap_or(u64::from(u32::MAX));
                json!(self.pick(&[least, least + 1, 7, 250, 1_000_000, most]))
            }
            _ => Value::Null,
        }
    }
}

/// Takes away what cannot be read of a field that was added last, or all of it.
fn make_readable<T: DeserializeOwned>(entity: &mut Map<String, Value>, name: &str) {
    loop {
        let wrong = match serde_path_to_error::deserialize::<_, T>(Value::Object(entity.clone())) {
            Ok(_) => return,
            Err(error) => flexgate::domain::refusal::pointer(error.path()),
        };
        let (above, last) = wrong.rsplit_once('/').unwrap_or_default();
        let mut whole = Value::Object(std::mem::take(entity));
        let taken = match whole.pointer_mut(above) {
            Some(Value::Object(fields)) if !above.is_empty() => fields.remove(last).is_some(),
            Some(Value::Array(items)) => {
                let position = last.parse::<usize>().ok().filter(|at| *at < items.len());
                position.map(|at| items.remove(at)).is_some()
            }
            _ => false,
        };
        *entity = match whole {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        if !taken {
            entity.remove(name);
            return;
        }
    }
}

fn fields(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf"]
        .iter()
        .filter_map(|key| schema.get(key)?.as_array())
        .flatten()
        .filter(|branch| branch["type"] != "null")
}

fn resolved<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let mut schema = schema;
    while let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        schema = root.pointer(reference.trim_start_matches('#')).unwrap();
    }
    schema
}

//! From the tree to our types, by serde: every mistake of one value at once, each with its place.
//!
//! Serde stops at the first mistake. So the entry at fault is taken out of the tree and the value is read again, until
//! nothing is wrong with what is left, or nothing can be taken out any more.

use std::ops::Range;

use serde::{
    Deserialize,
    de::{
        self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
        SeqAccess, Unexpected, VariantAccess, Visitor,
    },
};

use super::{
    suggest,
    tree::{Key, Node, Value},
};

/// The most mistakes that are looked for in one value.
const MISTAKES_MAX: usize = 20;

/// One mistake, with what to point at.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) place: Option<Range<usize>>,
    /// What to take away so that reading can go on: the place of a key, or of an item.
    culprit: Option<Range<usize>>,
    /// It is about a mapping or list from which something was taken away, so it is nobody's mistake.
    derived: bool,
    /// The key that is missing, if that is what is wrong.
    missing: Option<&'static str>,
}

/// Reads one value.
pub(super) fn read<T: DeserializeOwned>(node: &Node, text: &str) -> Result<T, Vec<Wrong>> {
    let attempt = |node: &Node| T::deserialize(Cursor { node, text });
    let mut failed = match attempt(node) {
        Ok(value) => return Ok(value),
        Err(wrong) => wrong,
    };
    let mut rest = node.clone();
    let mut mistakes: Vec<Wrong> = Vec::new();
    let mut taken: Vec<String> = Vec::new();
    loop {
        let at_top = failed.place.is_none();
        let derived = if at_top {
            rest.partial && failed.follows_from(&taken)
        } else {
            failed.derived
        };
        let culprit = failed.culprit.clone();
        if !derived {
            failed.place.get_or_insert_with(|| node.place());
            mistakes.push(failed);
        }
        let Some(place) = culprit.filter(|_| mistakes.len() < MISTAKES_MAX) else {
            return Err(mistakes);
        };
        taken.extend(
            rest.entries()
                .iter()
                .find(|(key, _)| key.place() == place)
                .map(|(key, _)| key.text.clone()),
        );
        if !rest.prune(&place) {
            return Err(mistakes);
        }
        match attempt(&rest) {
            Ok(_) => return Err(mistakes),
            Err(wrong) => failed = wrong,
        }
    }
}

impl Wrong {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            place: None,
            culprit: None,
            derived: false,
            missing: None,
        }
    }

    fn with_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// Says where it happened; the innermost place is kept.
    fn at(
        mut self,
        place: impl FnOnce() -> Range<usize>,
        culprit: impl FnOnce() -> Range<usize>,
        partial: bool,
    ) -> Self {
        if self.place.is_none() {
            self.place = Some(place());
            self.derived = partial;
        }
        self.culprit.get_or_insert_with(culprit);
        self
    }

    /// Whether it is so only because these keys were taken away: one that resembles the missing one, or, where it is
    /// about the value as a whole, any.
    fn follows_from(&self, taken: &[String]) -> bool {
        let names: Vec<_> = taken.iter().map(String::as_str).collect();
        self.missing
            .is_none_or(|missing| suggest::closest(missing, &names).is_some())
    }

    /// In the value of this key.
    fn in_entry(self, key: &Key, value: &Node) -> Self {
        let place = || {
            if value.is_container() {
                key.place()
            } else {
                value.place()
            }
        };
        self.at(place, || key.place(), value.partial)
    }

    /// In this item of a list.
    fn in_item(self, item: &Node) -> Self {
        self.at(|| item.place(), || item.place(), item.partial)
    }
}

impl de::Error for Wrong {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!(
            "expected {}, found {}",
            plain_words(expected),
            what_it_is(found)
        ))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("unknown key `{field}`")).with_help(suggest::key(field, expected))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!(
            "{variant:?} is not one of the values that can stand here"
        ))
        .with_help(suggest::value(variant, expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            missing: Some(field),
            ..Self::new(format!("`{field}` is missing"))
        }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("`{field}` is given twice, perhaps under two names"))
    }
}

/// What serde expects, in the words of people who write files.
fn plain_words(expected: &dyn de::Expected) -> String {
    let words = expected.to_string();
    match words.as_str() {
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" | "u64" | "usize" => "a whole number".to_owned(),
        "i64" => "a whole number, perhaps negative".to_owned(),
        "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" => "text".to_owned(),
        "a sequence" => "a list".to_owned(),
        words if words.starts_with("a nonzero") => "a whole number of at least 1".to_owned(),
        words if words.starts_with("struct ") => "a mapping with keys of its own".to_owned(),
        words => words.to_owned(),
    }
}

fn what_it_is(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Unit => "nothing".to_owned(),
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("{value}"),
        Unexpected::Signed(value) => format!("{value}"),
        Unexpected::Float(value) => format!("{value}"),
        Unexpected::Str(value) => format!("the text {value:?}"),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a mapping".to_owned(),
        other => other.to_string(),
    }
}

/// A node as serde reads it.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    node: &'a Node,
    text: &'a str,
}

impl<'a> Cursor<'a> {
    fn to(self, node: &'a Node) -> Self {
        Self { node, ..self }
    }
}

impl<'de> Deserializer<'de> for Cursor<'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Unsigned(value) => visitor.visit_u64(*value),
            Value::Signed(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_borrowed_str(value),
            Value::List(items) => visitor.visit_seq(Items {
                cursor: self,
                items: items.iter(),
            }),
            Value::Map(entries) => visitor.visit_map(Entries {
                cursor: self,
                rest: entries.iter(),
                current: None,
            }),
        }
    }

    /// A number is text where text is asked for: `value: 1` of a header.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node.value {
            Value::Bool(_) | Value::Unsigned(_) | Value::Signed(_) | Value::Float(_) => {
                visitor.visit_borrowed_str(self.node.written(self.text))
            }
            Value::Null | Value::Text(_) | Value::List(_) | Value::Map(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    /// `null` is no value; nothing at all is more likely a mistake: the value forgotten, or indented too little.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node.value {
            Value::Null if self.node.written(self.text).is_empty() => Err(Wrong::new("there is no value")
                .with_help(Some(
                    "give it one, indent what belongs to it, or take the key away".to_owned(),
                ))),
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// Our enums have names only, nothing within.
impl<'de> EnumAccess<'de> for Cursor<'de> {
    type Error = Wrong;
    type Variant = NameOnly;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, NameOnly), Wrong> {
        let name = String::deserialize(self)?;
        Ok((seed.deserialize(name.into_deserializer())?, NameOnly))
    }
}

struct NameOnly;

impl<'de> VariantAccess<'de> for NameOnly {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        Ok(())
    }
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, Wrong> {
        Err(Wrong::new("expected a name"))
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Wrong> {
        Err(Wrong::new("expected a name"))
    }
    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Wrong> {
        Err(Wrong::new("expected a name"))
    }
}

struct Items<'a> {
    cursor: Cursor<'a>,
    items: std::slice::Iter<'a, Node>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Wrong;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        let Some(item) = self.items.next() else {
            return Ok(None);
        };
        seed.deserialize(self.cursor.to(item))
            .map(Some)
            .map_err(|wrong| wrong.in_item(item))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'a> {
    cursor: Cursor<'a>,
    rest: std::slice::Iter<'a, (Key, Node)>,
    current: Option<&'a (Key, Node)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Wrong;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        self.current = self.rest.next();
        let Some((key, _)) = self.current else {
            return Ok(None);
        };
        let name: de::value::BorrowedStrDeserializer<'de, Wrong> =
            de::value::BorrowedStrDeserializer::new(&key.text);
        seed.deserialize(name)
            .map(Some)
            .map_err(|wrong| wrong.at(|| key.place(), || key.place(), false))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        let Some((key, value)) = self.current.take() else {
            return Err(Wrong::new("a value was asked for before its key")); // serde asks for keys first
        };
        seed.deserialize(self.cursor.to(value))
            .map_err(|wrong| wrong.in_entry(key, value))
    }
}

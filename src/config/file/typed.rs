//! From the tree to our types, by serde: every mistake of one value at once, each with its place.
//!
//! Serde stops at the first mistake. So the entry at fault is taken out of the tree and the value is read again, until
//! nothing is wrong with what is left, or nothing can be taken out any more.

use serde::{
    Deserialize,
    de::{
        self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
        SeqAccess, VariantAccess, Visitor,
    },
};

use super::{
    tree::{Key, Node, Value},
    wrong::Wrong,
};

/// The most mistakes that are looked for in one value.
const MISTAKES_MAX: usize = 20;

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
            failed.place.get_or_insert_with(|| node.spot());
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
            .map_err(|wrong| wrong.at(|| key.spot(), || key.place(), false))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        let Some((key, value)) = self.current.take() else {
            return Err(Wrong::new("a value was asked for before its key")); // serde asks for keys first
        };
        seed.deserialize(self.cursor.to(value))
            .map_err(|wrong| wrong.in_entry(key, value))
    }
}

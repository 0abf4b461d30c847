//! The file as a tree in which every key and value knows where it stands, so that reading can go on after a mistake.

use std::ops::Range;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location, Spanned};

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    /// Where it is used; for a block of several lines the empty span at its beginning.
    place: Range<u32>,
    /// Where it is written, which differs for an alias.
    written: Range<u32>,
    /// Whether something in it was taken away because it was wrong.
    pub(super) partial: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and its place.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) text: String,
    place: Range<u32>,
}

/// What a finding points at: a key, or a value, which may begin where its first key does.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) span: Range<usize>,
    pub(super) is_key: bool,
}

impl Key {
    pub(super) fn place(&self) -> Range<usize> {
        widen(&self.place)
    }

    pub(super) fn spot(&self) -> Spot {
        Spot {
            span: self.place(),
            is_key: true,
        }
    }
}

impl Node {
    /// A value that the file does not have.
    pub(super) fn made_up(value: Value, place: &Range<usize>) -> Self {
        let narrow = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        let place = narrow(place.start)..narrow(place.end);
        Self {
            value,
            written: place.clone(),
            place,
            partial: false,
        }
    }

    /// What to point at.
    pub(super) fn place(&self) -> Range<usize> {
        match &self.value {
            Value::Map(entries) if !entries.is_empty() => entries[0].0.place(),
            Value::List(items) if !items.is_empty() => items[0].place(),
            _ => widen(&self.place),
        }
    }

    pub(super) fn spot(&self) -> Spot {
        Spot {
            span: self.place(),
            is_key: false,
        }
    }

    /// The JSON Pointer (RFC 6901) that leads from here to a spot.
    pub(super) fn pointer_to(&self, spot: &Spot) -> Option<String> {
        if !spot.is_key && self.place() == spot.span {
            return Some(String::new());
        }
        let below = |token: &str, value: &Self| {
            let rest = value.pointer_to(spot)?;
            Some(format!("/{token}{rest}"))
        };
        match &self.value {
            Value::List(items) => (0..)
                .zip(items)
                .find_map(|(number, item): (usize, _)| below(&number.to_string(), item)),
            Value::Map(entries) => entries.iter().find_map(|(key, value)| {
                let token = key.text.replace('~', "~0").replace('/', "~1");
                let is_it = spot.is_key && key.place() == spot.span;
                if is_it {
                    Some(format!("/{token}"))
                } else {
                    below(&token, value)
                }
            }),
            _ => None,
        }
    }

    /// A scalar as it is written, quotes and all.
    pub(super) fn written<'t>(&self, text: &'t str) -> &'t str {
        text.get(widen(&self.written)).unwrap_or_default()
    }

    pub(super) fn is_container(&self) -> bool {
        matches!(self.value, Value::List(_) | Value::Map(_))
    }

    /// The entries of a mapping; none for anything else.
    pub(super) fn entries(&self) -> &[(Key, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|(_, value)| value)
    }

    pub(super) fn entry(&self, key: &str) -> Option<&(Key, Self)> {
        self.entries().iter().find(|(own, _)| own.text == key)
    }

    /// The entry below several keys, one in the other.
    pub(super) fn entry_at(&self, path: &[&str]) -> Option<&(Key, Self)> {
        let (last, above) = path.split_last()?;
        above
            .iter()
            .try_fold(self, |node, key| node.get(key))?
            .entry(last)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.value {
            Value::Map(entries) => entries
                .iter_mut()
                .find(|(own, _)| own.text == key)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// Takes an entry out of a mapping.
    pub(super) fn take(&mut self, key: &str) -> Option<(Key, Self)> {
        match &mut self.value {
            Value::Map(entries) => entries
                .iter()
                .position(|(own, _)| own.text == key)
                .map(|position| entries.remove(position)),
            _ => None,
        }
    }

    /// Adds an entry to a mapping.
    pub(super) fn put(&mut self, key: Key, value: Self) {
        if let Value::Map(entries) = &mut self.value {
            entries.push((key, value));
        }
    }

    /// Takes away the entry whose key stands at this place, or the item that does. Whether there was one.
    pub(super) fn prune(&mut self, place: &Range<usize>) -> bool {
        let here = match &mut self.value {
            Value::List(items) => {
                items.len() > {
                    items.retain(|item| item.place() != *place);
                    items.len()
                }
            }
            Value::Map(entries) => {
                entries.len() > {
                    entries.retain(|(key, _)| key.place() != *place);
                    entries.len()
                }
            }
            _ => false,
        };
        self.partial |= here;
        here || self.children_mut().any(|child| child.prune(place))
    }

    pub(super) fn children_mut(&mut self) -> Box<dyn Iterator<Item = &mut Self> + '_> {
        match &mut self.value {
            Value::List(items) => Box::new(items.iter_mut()),
            Value::Map(entries) => Box::new(entries.iter_mut().map(|(_, value)| value)),
            _ => Box::new(std::iter::empty()),
        }
    }
}

impl Key {
    /// A key that the file does not have, for a value that it does have.
    pub(super) fn made_up(text: &str, place: &Range<usize>) -> Self {
        Self {
            text: text.to_owned(),
            place: Node::made_up(Value::Null, place).place,
        }
    }
}

fn widen(span: &Range<u32>) -> Range<usize> {
    span.start as usize..span.end as usize
}

fn span(location: &Location) -> Range<u32> {
    let bytes = location.span();
    let (start, length) = (bytes.byte_offset().unwrap_or(0), bytes.byte_len().unwrap_or(0));
    let narrow = |offset: u64| u32::try_from(offset).unwrap_or(u32::MAX);
    narrow(start)..narrow(start + length)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self {
            value: spanned.value,
            place: span(&spanned.referenced),
            written: span(&spanned.defined),
            partial: false,
        })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        Ok(Self {
            text: spanned.value,
            place: span(&spanned.referenced),
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::Signed(value), Value::Unsigned))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }
    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

//! One field of many outcomes.

use std::{borrow::Cow, collections::HashMap, fmt, hash::Hash};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, Visitor},
};
use serde_json::value::RawValue;

/// How many rows are looked at before a column counts as one whose values do not repeat.
const LOOK_AHEAD: usize = 64;

/// One field of many outcomes, in the shortest of three forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column<T> {
    /// All rows have this value. Written as the value.
    Same(T),
    /// Each row has its own. Written as a list.
    Each(Vec<T>),
    /// There are few values, and each row says which. Written as `{"values": [...], "rows": [...]}`.
    Coded {
        /// The values, in the order in which they first appear.
        values: Vec<T>,
        /// For each row the place of its value among them.
        rows: Vec<u32>,
    },
}

impl<T: Default> Default for Column<T> {
    fn default() -> Self {
        Self::Same(T::default())
    }
}

impl<T: Copy + Eq + Default> Column<T> {
    /// A column whose values hardly ever repeat, such as a measurement.
    pub fn measured(mut values: impl Iterator<Item = T> + Clone) -> Self {
        let all = values.clone();
        let first = values.next().unwrap_or_default();
        if values.all(|value| value == first) {
            Self::Same(first)
        } else {
            Self::Each(all.collect())
        }
    }
}

impl<T: Copy + Eq + Hash + Default> Column<T> {
    /// A column whose values repeat, as a rule.
    pub fn coded(values: impl Iterator<Item = T> + Clone) -> Self {
        let mut places: HashMap<T, u32> = HashMap::new();
        let (mut distinct, mut rows) = (Vec::new(), Vec::new());
        let mut last = None;
        for value in values.clone() {
            let place = match last {
                Some((before, place)) if before == value => place,
                _ => *places.entry(value).or_insert_with(|| {
                    distinct.push(value);
                    u32::try_from(distinct.len() - 1).unwrap_or(u32::MAX)
                }),
            };
            last = Some((value, place));
            rows.push(place);
            if rows.len() == LOOK_AHEAD && distinct.len() > LOOK_AHEAD / 2 {
                return Self::Each(values.collect());
            }
        }
        match *distinct {
            [] => Self::default(),
            [only] => Self::Same(only),
            _ if distinct.len() * 2 > rows.len() => Self::Each(values.collect()),
            _ => Self::Coded {
                values: distinct,
                rows,
            },
        }
    }
}

impl<T> Column<T> {
    /// What a row has; `None` where the column is too short.
    pub fn at(&self, row: usize) -> Option<&T> {
        match self {
            Self::Same(value) => Some(value),
            Self::Each(values) => values.get(row),
            Self::Coded { values, rows } => values.get(usize::try_from(*rows.get(row)?).ok()?),
        }
    }

    /// Whether it has a value for each of so many rows, and for no more.
    pub fn fits(&self, count: usize) -> bool {
        match self {
            Self::Same(_) => true,
            Self::Each(values) => values.len() == count,
            Self::Coded { values, rows } => {
                let known = |place: &u32| usize::try_from(*place).is_ok_and(|place| place < values.len());
                rows.len() == count && rows.iter().all(known)
            }
        }
    }

    /// Its different values, at most once each if it is coded.
    pub fn values(&self) -> &[T] {
        match self {
            Self::Same(value) => std::slice::from_ref(value),
            Self::Each(values) | Self::Coded { values, .. } => values,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Coded<V, R> {
    values: V,
    rows: R,
}

impl<T: Serialize> Serialize for Column<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Same(value) => value.serialize(serializer),
            Self::Each(values) => values.serialize(serializer),
            Self::Coded { values, rows } => Coded { values, rows }.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Column<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let column = match text.as_bytes().first() {
            Some(b'[') => serde_json::from_str(text).map(Self::Each),
            Some(b'{') => {
                serde_json::from_str(text).map(|Coded { values, rows }| Self::Coded { values, rows })
            }
            _ => serde_json::from_str(text).map(Self::Same),
        };
        column.map_err(D::Error::custom)
    }
}

impl<T: JsonSchema> JsonSchema for Column<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("ColumnOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({
            "description": "One field of all outcomes: one value for all, a value for each, or the values and for each outcome the place of its value.",
            "anyOf": [
                value,
                { "type": "array", "items": value },
                {
                    "type": "object",
                    "properties": {
                        "values": { "type": "array", "items": value },
                        "rows": { "type": "array", "items": { "type": "integer", "minimum": 0 } },
                    },
                    "required": ["values", "rows"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// Text that is borrowed wherever it can be: JSON without escapes needs no copy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrowing)
    }
}

impl JsonSchema for Text<'_> {
    fn schema_name() -> Cow<'static, str> {
        "String".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

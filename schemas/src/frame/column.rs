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

/// A column in the making whose values hardly ever repeat, such as a measurement.
#[derive(Debug, Default)]
pub(super) struct Measured<T> {
    column: Column<T>,
    count: usize,
}

impl<T: Copy + Eq> Measured<T> {
    /// The value of the next row.
    pub(super) fn push(&mut self, value: T) {
        match &mut self.column {
            Column::Same(same) if self.count == 0 => *same = value,
            Column::Same(same) if *same == value => {}
            Column::Same(same) => {
                let mut each = vec![*same; self.count];
                each.push(value);
                self.column = Column::Each(each);
            }
            Column::Each(values) | Column::Coded { values, .. } => values.push(value), // it is never coded
        }
        self.count += 1;
    }

    /// There are no more rows.
    pub(super) fn finish(self) -> Column<T> {
        self.column
    }
}

/// A column in the making whose values repeat, as a rule.
#[derive(Debug, Default)]
pub(super) struct Repeating<T> {
    column: Column<T>,
    count: usize,
    /// The place of the last row's value, once the column is coded, and those of all.
    last: u32,
    places: HashMap<T, u32>,
}

impl<T: Copy + Eq + Hash> Repeating<T> {
    /// The value of the next row.
    pub(super) fn push(&mut self, value: T) {
        match &mut self.column {
            Column::Same(same) if self.count == 0 => *same = value,
            Column::Same(same) if *same == value => {}
            Column::Same(same) => {
                let (values, mut rows) = (vec![*same, value], vec![0; self.count]);
                rows.push(1);
                self.places = HashMap::from([(*same, 0), (value, 1)]);
                self.last = 1;
                self.column = Column::Coded { values, rows };
            }
            Column::Each(values) => values.push(value),
            Column::Coded { values, rows } => {
                if values.get(self.last as usize) != Some(&value) {
                    self.last = *self.places.entry(value).or_insert_with(|| {
                        values.push(value);
                        u32::try_from(values.len() - 1).unwrap_or(u32::MAX)
                    });
                }
                rows.push(self.last);
            }
        }
        self.count += 1;
        if self.count == LOOK_AHEAD {
            self.spread_if_worth_it();
        }
    }

    /// There are no more rows.
    pub(super) fn finish(mut self) -> Column<T> {
        self.spread_if_worth_it();
        self.column
    }

    /// Where most rows have a value of their own, places are only in the way.
    fn spread_if_worth_it(&mut self) {
        if let Column::Coded { values, rows } = &self.column
            && values.len() * 2 > rows.len()
        {
            let each = rows.iter().filter_map(|place| values.get(*place as usize));
            self.column = Column::Each(each.copied().collect());
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
struct Written<V, R> {
    values: V,
    rows: R,
}

impl<T: Serialize> Serialize for Column<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Same(value) => value.serialize(serializer),
            Self::Each(values) => values.serialize(serializer),
            Self::Coded { values, rows } => Written { values, rows }.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Column<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let column = match text.as_bytes().first() {
            Some(b'[') => serde_json::from_str(text).map(Self::Each),
            Some(b'{') => {
                serde_json::from_str(text).map(|Written { values, rows }| Self::Coded { values, rows })
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

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn measured(values: &[u32]) -> Column<u32> {
        let mut column = Measured::default();
        for value in values {
            column.push(*value);
        }
        column.finish()
    }

    fn repeating(values: &[u32]) -> Column<u32> {
        let mut column = Repeating::default();
        for value in values {
            column.push(*value);
        }
        column.finish()
    }

    #[test]
    fn a_column_takes_the_shortest_form() {
        assert_eq!(repeating(&[]), Column::Same(0));
        assert_eq!(repeating(&[7; 100]), Column::Same(7));
        let coded = Column::Coded {
            values: vec![7, 8],
            rows: vec![0, 0, 1, 0, 1],
        };
        assert_eq!(repeating(&[7, 7, 8, 7, 8]), coded);
        assert_eq!(repeating(&[7, 8, 9]), Column::Each(vec![7, 8, 9]));
        assert_eq!(measured(&[7; 100]), Column::Same(7));
        assert_eq!(measured(&[7, 7, 8]), Column::Each(vec![7, 7, 8]));
    }

    #[test]
    fn values_that_do_not_repeat_at_first_are_not_looked_up_for_ever() {
        let values: Vec<_> = (0..64).chain([0; 1000]).collect();
        assert_eq!(repeating(&values), Column::Each(values));
    }

    proptest! {
        #[test]
        fn a_column_has_what_was_put_into_it(values in vec(0u32..40, 0..200)) {
            for column in [repeating(&values), measured(&values)] {
                prop_assert!(column.fits(values.len()));
                let read: Vec<_> = (0..values.len()).map(|row| *column.at(row).unwrap()).collect();
                prop_assert_eq!(&read, &values);
            }
        }
    }
}

//! One field of many outcomes.

use std::{borrow::Cow, collections::HashMap, fmt, hash::Hash, mem, ptr};

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
    #[inline]
    pub(super) fn push(&mut self, value: T) {
        match &mut self.column {
            Column::Each(values) => values.push(value),
            Column::Same(same) if self.count > 0 && *same == value => {}
            _ => self.begin(value),
        }
        self.count += 1;
    }

    /// The first value, or the first that is another one.
    fn begin(&mut self, value: T) {
        self.column = match &self.column {
            Column::Same(same) if self.count > 0 => {
                let mut each = vec![*same; self.count];
                each.push(value);
                Column::Each(each)
            }
            _ => Column::Same(value),
        };
    }

    /// There are no more rows.
    pub(super) fn finish(self) -> Column<T> {
        self.column
    }
}

/// A value that is held against that of the row before.
pub(super) trait Value: Copy + Eq + Hash {
    /// Whether the two are the same. Texts that lie in the same place are, whatever they say: an outbox gives the same one
    /// again as long as it does not change.
    fn is(self, other: Self) -> bool {
        self == other
    }
}

impl Value for u64 {}
impl Value for Option<u16> {}

impl Value for &str {
    fn is(self, other: Self) -> bool {
        ptr::eq(self, other) || self == other
    }
}

impl Value for Option<&str> {
    fn is(self, other: Self) -> bool {
        match (self, other) {
            (Some(text), Some(other)) => text.is(other),
            (text, other) => text.is_none() && other.is_none(),
        }
    }
}

/// A column in the making whose values repeat, as a rule.
#[derive(Debug, Default)]
pub(super) struct Repeating<T> {
    column: Column<T>,
    /// How many rows that has.
    count: usize,
    /// How many more rows there are, which all have the same value, and which: a value that is as the one before costs no more
    /// than to see that.
    run: usize,
    last: T,
    /// The places of all values, once the column is coded.
    places: HashMap<T, u32>,
}

impl<T: Value> Repeating<T> {
    /// The value of the next row.
    #[inline]
    pub(super) fn push(&mut self, value: T) {
        if self.run > 0 && !self.last.is(value) {
            self.end_run();
        }
        self.last = value;
        self.run += 1;
    }

    /// There are no more rows.
    pub(super) fn finish(mut self) -> Column<T> {
        self.end_run();
        self.spread_if_worth_it();
        self.column
    }

    /// The rows of the run go into the column.
    fn end_run(&mut self) {
        let (value, run) = (self.last, mem::take(&mut self.run));
        let before = self.count;
        self.count += run;
        match &mut self.column {
            Column::Same(same) if before == 0 => *same = value,
            Column::Same(same) if same.is(value) => {}
            Column::Same(same) => {
                let (values, mut rows) = (vec![*same, value], vec![0; before]);
                rows.resize(self.count, 1);
                self.places = HashMap::from([(*same, 0), (value, 1)]);
                self.column = Column::Coded { values, rows };
            }
            Column::Each(values) => values.resize(self.count, value),
            Column::Coded { values, rows } => {
                let place = *self.places.entry(value).or_insert_with(|| {
                    values.push(value);
                    u32::try_from(values.len() - 1).unwrap_or(u32::MAX)
                });
                rows.resize(self.count, place);
            }
        }
        if before < LOOK_AHEAD && self.count >= LOOK_AHEAD {
            self.spread_if_worth_it();
        }
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

    impl Value for u32 {}

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

    #[test]
    fn texts_are_the_same_wherever_they_lie() {
        let (one, other) = ("GET".to_owned(), "GET".to_owned());
        assert!(one.is(&*other) && Some(&*one).is(Some(&*other)) && None::<&str>.is(None));
        assert!(!one.is(&one[..2]) && !Some(&*one).is(None) && !None.is(Some("")));
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

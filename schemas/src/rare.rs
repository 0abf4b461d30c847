//! Values that nearly nobody sets. Among 100,000 routes what they weigh is what a configuration weighs, and what lies
//! between the rest is what a request waits for.

use std::{borrow::Cow, ops::Deref};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that is as big as a pointer while it is the default one, and reads and is written as what it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rare<T>(Option<Box<T>>);

/// What has a default value to look at that nobody needs to own.
pub trait Usual: Default + PartialEq + 'static {
    /// The default value.
    fn usual() -> &'static Self;
}

/// Says that these have a default value to look at.
macro_rules! usual {
    ($($type:ty),+) => {$(
        impl $crate::rare::Usual for $type {
            fn usual() -> &'static Self {
                static USUAL: std::sync::LazyLock<$type> = std::sync::LazyLock::new(Default::default);
                &USUAL
            }
        }
    )+};
}
pub(crate) use usual;

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Usual> From<T> for Rare<T> {
    fn from(value: T) -> Self {
        Self((value != *T::usual()).then(|| Box::new(value)))
    }
}

impl<T: Usual> Deref for Rare<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or_else(|| T::usual())
    }
}

impl<T: Usual + Clone> Rare<T> {
    /// The value itself.
    pub fn into_inner(self) -> T {
        self.0.map(|value| *value).unwrap_or_default()
    }
}

impl<T: Usual + Serialize> Serialize for Rare<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de, T: Usual + Deserialize<'de>> Deserialize<'de> for Rare<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::from)
    }
}

impl<T: JsonSchema> JsonSchema for Rare<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Access;

    #[test]
    fn the_default_value_weighs_a_pointer_however_it_came_about() {
        let read: Rare<Access> = serde_json::from_str("{}").unwrap();
        assert_eq!(read, Rare::default());
        assert_eq!(read, Access::default().into());
        assert_eq!((*read).clone(), Access::default());
        assert_eq!(size_of::<Rare<Access>>(), size_of::<usize>());
    }

    #[test]
    fn any_other_is_read_and_written_as_it_is() {
        let json = r#"{"deny":["10.0.0.0/8"]}"#;
        let read: Rare<Access> = serde_json::from_str(json).unwrap();
        assert_eq!(read.deny.len(), 1);
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        assert_eq!(Rare::from(read.clone().into_inner()), read);
    }
}

//! What serde finds wrong with a value, with its place, in the words of people who write files.

use std::ops::Range;

use serde::de::{self, Unexpected};

use super::{
    sections, suggest,
    tree::{Key, Node, Spot},
};

/// One mistake, with what to point at.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) place: Option<Spot>,
    /// What to take away so that reading can go on: the place of a key, or of an item.
    pub(super) culprit: Option<Range<usize>>,
    /// It is about a mapping or list from which something was taken away, so it is nobody's mistake.
    pub(super) derived: bool,
    /// The key that is missing, if that is what is wrong.
    missing: Option<&'static str>,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            place: None,
            culprit: None,
            derived: false,
            missing: None,
        }
    }

    pub(super) fn with_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// Says where it happened; the innermost place is kept.
    pub(super) fn at(
        mut self,
        place: impl FnOnce() -> Spot,
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
    pub(super) fn follows_from(&self, taken: &[String]) -> bool {
        let names: Vec<_> = taken.iter().map(String::as_str).collect();
        self.missing
            .is_none_or(|missing| suggest::closest(missing, &names).is_some())
    }

    /// In the value of this key.
    pub(super) fn in_entry(self, key: &Key, value: &Node) -> Self {
        let place = || {
            if value.is_container() {
                key.spot()
            } else {
                value.spot()
            }
        };
        self.at(place, || key.place(), value.partial)
    }

    /// In this item of a list.
    pub(super) fn in_item(self, item: &Node) -> Self {
        self.at(|| item.spot(), || item.place(), item.partial)
    }
}

impl de::Error for Wrong {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = plain_words(expected);
        let help = instead_of(found, &expected);
        Self::new(format!("expected {expected}, found {}", what_it_is(found))).with_help(help)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let help = if field.contains("${") {
            Some("variables stand in values, not in keys".to_owned())
        } else if sections::NAMES.contains(&field) {
            Some(format!(
                "`{field}` is a section of its own: it begins in the first column"
            ))
        } else {
            suggest::key(field, expected)
        };
        Self::new(format!("unknown key `{field}`")).with_help(help)
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

/// What somebody meant who wrote text where there is to be something else.
fn instead_of(found: Unexpected<'_>, expected: &str) -> Option<String> {
    let Unexpected::Str(text) = found else { return None };
    match expected {
        "a list" => Some(
            "a list is written in brackets, `[one, two]`, or each item after `- ` in a line of its own"
                .to_owned(),
        ),
        "a mapping with keys of its own" if text.contains(':') => {
            Some("the colon after a key is followed by a space".to_owned())
        }
        number if number.contains("number") && text.ends_with('%') => Some("leave the `%` out".to_owned()),
        _ => None,
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

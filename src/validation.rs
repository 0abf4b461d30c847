//! What bodies must be: one schema, asked at the edit whether it is one, and for each request whether the body is right.
//!
//! Nothing here fetches anything: a schema refers to itself alone. And nothing here takes for ever, whatever a client sends:
//! regular expressions run in linear time, no schema leads back to itself, and what it comes to is bounded when it is
//! compiled, see [`references`].

mod mistake;
mod references;
#[cfg(test)]
mod tests;

use std::cell::Cell;

use flexgate_schemas::validation::BodySchema;
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde::de::DeserializeSeed as _;
use serde_json::Value;

pub use mistake::{Mistake, Place};

use crate::unambiguous::AnyValue;

/// The most values a body may have. Each takes some 30 bytes, however short it is written: this many take 32 MB, and 16 MB
/// of zeros would take half a gigabyte.
const VALUES_MAX: usize = 1_000_000;
/// How many values there may be for how many rules if mistakes are to be found one by one: each costs memory, and of a
/// larger body it is only said that something is wrong.
const LISTED_MAX: usize = 1_000_000;
/// The most mistakes that are told.
const MISTAKES_MAX: usize = 16;
/// What a core judges itself: 16 KiB take 0.1 ms, with a schema that is no larger than people write them.
const QUICK_BYTES_MAX: usize = 16 * 1024;
const QUICK_RULES_MAX: usize = 1000;
/// The largest program that a regular expression may become, and the most that is remembered of its states, in bytes.
const PROGRAM_BYTES_MAX: usize = 128 * 1024;
/// The longest explanation of why a schema is none, in characters.
const DETAIL_CHARS_MAX: usize = 300;

/// A schema, ready to judge bodies.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    /// How many rules it comes to.
    rules: usize,
}

/// Why a schema is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaMistake {
    /// Where in the schema, as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong there, and what would be right.
    pub detail: String,
}

impl Schema {
    /// Makes it ready. `format` is checked, too: whoever writes it means it.
    pub fn compile(schema: &BodySchema) -> Result<Self, SchemaMistake> {
        let rules = references::count(schema.as_value())?;
        let patterns = PatternOptions::regex()
            .size_limit(PROGRAM_BYTES_MAX)
            .dfa_size_limit(PROGRAM_BYTES_MAX);
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .offline()
            .with_pattern_options(patterns)
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            .build(schema.as_value())
            .map_err(|error| SchemaMistake::from(&error))?;
        Ok(Self { validator, rules })
    }

    /// Whether a body of so many bytes can be judged between two requests.
    pub fn is_quick(&self, bytes: usize) -> bool {
        bytes <= QUICK_BYTES_MAX && self.rules <= QUICK_RULES_MAX
    }

    /// What is wrong with a body, at most [`MISTAKES_MAX`] things. No value of the body is in what is said of it.
    pub fn judge(&self, body: &[u8]) -> Result<(), Vec<Mistake>> {
        let left = Cell::new(VALUES_MAX);
        let value = parsed(body, &left).map_err(|mistake| vec![mistake])?;
        if self.validator.is_valid(&value) {
            return Ok(());
        }
        if (VALUES_MAX - left.get()).saturating_mul(self.rules) > LISTED_MAX {
            return Err(vec![Mistake::within(
                "",
                "the body is not what this route takes, and too large to say where",
            )]);
        }
        let errors = self.validator.iter_errors(&value).take(MISTAKES_MAX);
        Err(errors.map(|error| Mistake::from(&error)).collect())
    }
}

/// The value that a body is; every reader must take it for the same one.
fn parsed(body: &[u8], left: &Cell<usize>) -> Result<Value, Mistake> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = AnyValue { left }.deserialize(&mut reader);
    let value = value.and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| {
        let at = format!("line {} column {}", error.line(), error.column());
        let detail = if !error.is_data() {
            format!("not JSON: {error}") // which says what was expected, not what was found
        } else if left.get() == 0 {
            format!("more than {VALUES_MAX} values")
        } else {
            format!("an object has two members of the same name, at {at}")
        };
        Mistake::within("", detail)
    })
}

impl From<&ValidationError<'_>> for SchemaMistake {
    fn from(error: &ValidationError<'_>) -> Self {
        let pointer = error.instance_path().as_str().to_owned();
        let detail = match pointer.rsplit('/').next() {
            Some("type") => {
                "a type is array, boolean, integer, null, number, object or string, or a list of them"
                    .to_owned()
            }
            _ => error.to_string().chars().take(DETAIL_CHARS_MAX).collect(),
        };
        Self { pointer, detail }
    }
}

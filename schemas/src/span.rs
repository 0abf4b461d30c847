//! Spans of time as people write them: a number of milliseconds, or `"250ms"`, `"5s"`, `"2m"`, `"1h"`.

use std::{fmt, str::FromStr, time::Duration};

use serde::Serializer;

/// The longest span: one day. A timeout beyond it is a mistake in the unit.
pub const MILLIS_MAX: u32 = 24 * 60 * 60 * 1000;

/// A span of time in whole milliseconds, 1 to [`MILLIS_MAX`]. Written as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(u32);

/// Why something is not a span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MillisError {
    /// Not a number with an optional unit.
    #[error("{0:?} is not a span of time: write milliseconds (5000) or a number with ms, s, m or h (\"5s\")")]
    Syntax(String),
    /// Zero, or longer than a day.
    #[error("{0} ms is out of range: 1 ms to one day ({MILLIS_MAX} ms)")]
    Range(u64),
}

impl Millis {
    /// A constant span; zero becomes one millisecond.
    pub const fn new(millis: u32) -> Self {
        Self(if millis == 0 {
            1
        } else if millis > MILLIS_MAX {
            MILLIS_MAX
        } else {
            millis
        })
    }

    /// The number of milliseconds.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// As a `Duration`.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64)
    }
}

impl TryFrom<u64> for Millis {
    type Error = MillisError;
    fn try_from(millis: u64) -> Result<Self, MillisError> {
        match u32::try_from(millis) {
            Ok(value @ 1..=MILLIS_MAX) => Ok(Self(value)),
            _ => Err(MillisError::Range(millis)),
        }
    }
}

impl FromStr for Millis {
    type Err = MillisError;
    fn from_str(text: &str) -> Result<Self, MillisError> {
        let syntax = || MillisError::Syntax(text.to_owned());
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| syntax())?;
        let unit = match text[digits..].trim() {
            "" | "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            _ => return Err(syntax()),
        };
        number.saturating_mul(unit).try_into()
    }
}

/// The shortest exact form with a unit: `60s`, `250ms`.
impl fmt::Display for Millis {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(out, "{}s", self.0 / 1000)
        } else {
            write!(out, "{}ms", self.0)
        }
    }
}

/// Writes a span as text, for fields whose documented form is text (`"window": "60s"`).
pub(crate) fn as_text<S: Serializer>(span: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(span)
}

number_value!(
    Millis,
    "milliseconds (5000) or a number with a unit (\"5s\")",
    "milliseconds, or a number with ms, s, m or h",
    MILLIS_MAX,
    r"^\d+\s*(ms|s|m|h)?$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_of_milliseconds_or_text_with_a_unit() {
        let check = |json: &str, millis| {
            assert_eq!(
                serde_json::from_str::<Millis>(json).ok().map(Millis::get),
                millis,
                "{json}"
            );
        };
        check("5000", Some(5000));
        check("\"5s\"", Some(5000));
        check("\"2 m\"", Some(120_000));
        check("\"1h\"", Some(3_600_000));
        check("0", None);
        check("\"25h\"", None);
        check("\"soon\"", None);
        check("-1", None);
        check("1.5", None);
        check("\"99999999999999999999s\"", None);
    }
}

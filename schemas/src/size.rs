//! Amounts of bytes as people write them: a number, or `"10mb"`.

use std::{fmt, str::FromStr};

/// The largest size that every reader of JSON takes for the same number.
const SIZE_MAX: u64 = 1 << 53;

/// A number of bytes, 1 to 2^53. `kb`, `mb` and `gb` are powers of 1024, as in the original. Written as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// Why something is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Not a number with an optional unit.
    #[error("{0:?} is not a size: write bytes (1048576) or a number with kb, mb or gb (\"10mb\")")]
    Syntax(String),
    /// Nothing, or more than there is.
    #[error("{0} bytes are out of range: 1 to {SIZE_MAX}")]
    Range(u64),
}

impl Size {
    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for Size {
    type Error = SizeError;
    fn try_from(bytes: u64) -> Result<Self, SizeError> {
        if (1..=SIZE_MAX).contains(&bytes) {
            Ok(Self(bytes))
        } else {
            Err(SizeError::Range(bytes))
        }
    }
}

impl FromStr for Size {
    type Err = SizeError;
    fn from_str(text: &str) -> Result<Self, SizeError> {
        let syntax = || SizeError::Syntax(text.to_owned());
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| syntax())?;
        let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            _ => return Err(syntax()),
        };
        number.saturating_mul(unit).try_into()
    }
}

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

number_value!(
    Size,
    "bytes (1048576) or a number with a unit (\"10mb\")",
    "bytes, or a number with kb, mb or gb",
    SIZE_MAX,
    r"^\d+\s*([kKmMgG]([iI]?[bB])?|[bB])?$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_of_bytes_or_text_with_a_unit() {
        let check = |json: &str, bytes| {
            let read = serde_json::from_str::<Size>(json).ok();
            assert_eq!(read.map(Size::get), bytes, "{json}");
        };
        check("512", Some(512));
        check("\"512\"", Some(512));
        check("\"10mb\"", Some(10 << 20));
        check("\"1 KB\"", Some(1024));
        check("\"2GiB\"", Some(2 << 30));
        check("0", None);
        check("-1", None);
        check("1.5", None);
        check("\"10mbit\"", None);
        check("\"mb\"", None);
        check("\"99999999999gb\"", None);
    }
}

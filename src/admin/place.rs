//! Places in the log, as tags and events name them: `<generation>-<revision>`.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de};

/// A commit: which history, and where in it. Revisions are only comparable within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    /// The history.
    pub(super) generation: u64,
    /// The commit in it.
    pub(super) revision: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.generation, self.revision)
    }
}

impl FromStr for Place {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "a place in the log is written `<generation>-<revision>`";
        let number = |digits: &str| digits.parse().map_err(|_| EXPECTED);
        let (generation, revision) = text.split_once('-').ok_or(EXPECTED)?;
        let (generation, revision) = (number(generation)?, number(revision)?);
        Ok(Self { generation, revision })
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Place {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Place".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": r"^\d+-\d+$" })
    }
}

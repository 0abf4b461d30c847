//! How much a client may send, and how long it may take about it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Millis, Size};

/// Bounds of what clients send. They hold from the next request on; what is absent has its default.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// The longest body of a request, where the route does not say; any, since bodies are passed on and never held. Longer
    /// ones are refused with 413.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body_size: Option<Size>,
    /// The longest target of a request, path and query; 16 KiB. Longer ones are refused with 414.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_target_size: Option<HeadSize>,
    /// The longest head of a request; 64 KiB, which is the most that is read at all. Longer ones are refused with 431.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_head_size: Option<HeadSize>,
    /// The most fields of a request; 100, which are the most that are read at all. More are refused with 431.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fields: Option<FieldCount>,
    /// How long the head of a request may take, from its first byte to its last; 30 s. Then the connection is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_timeout: Option<Millis>,
    /// How long a client may send nothing of a body that it owes, or take nothing of an answer; 60 s. An upload is refused
    /// with 408, unless the response timeout does so earlier; an answer is broken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_timeout: Option<Millis>,
    /// How long an upstream may send nothing in the middle of an answer, and both sides nothing once a request has switched
    /// to another protocol; 5 min. Then it is broken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_timeout: Option<Millis>,
    /// How long a client's connection may rest without a request; 75 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_alive_timeout: Option<Millis>,
}

impl Limits {
    /// As much as the original's HTTP parser took for a whole head: what got through there gets through here.
    pub const TARGET_SIZE: usize = 16 * 1024;
    /// Half of what nginx gives; sixty times what a slow telephone needs for a head as browsers send it.
    pub const HEAD_TIMEOUT: Millis = Millis::new(30_000);
    /// What nginx gives a client between two pieces, in either direction.
    pub const BODY_TIMEOUT: Millis = Millis::new(60_000);
    /// Envoy's. Streams of events are quiet for a minute now and then; five are as good as gone.
    pub const STREAM_TIMEOUT: Millis = Millis::new(300_000);
    /// Longer than the minute that load balancers keep connections for, so that they close first.
    pub const KEEP_ALIVE_TIMEOUT: Millis = Millis::new(75_000);
}

/// The most bytes that are read of a head.
pub const HEAD_SIZE_MAX: u32 = 64 * 1024;

/// A number of bytes within a head, 1 to [`HEAD_SIZE_MAX`]. Written as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Size")]
pub struct HeadSize(u32);

impl HeadSize {
    /// The number of bytes.
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

impl TryFrom<Size> for HeadSize {
    type Error = String;
    fn try_from(size: Size) -> Result<Self, String> {
        match u32::try_from(size.get()) {
            Ok(bytes @ 1..=HEAD_SIZE_MAX) => Ok(Self(bytes)),
            _ => Err(format!(
                "{size} bytes are out of range: of a head no more than {HEAD_SIZE_MAX} are read"
            )),
        }
    }
}

impl JsonSchema for HeadSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HeadSize".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = Size::json_schema(generator);
        schema.insert(
            "description".into(),
            "bytes, or a number with kb; at most 64kb".into(),
        );
        schema
    }
}

/// The most fields that are read of a head.
pub const FIELD_COUNT_MAX: u8 = 100;

/// A number of fields, 1 to [`FIELD_COUNT_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
pub struct FieldCount(#[schemars(range(min = 1, max = 100))] u8);

impl FieldCount {
    /// As a number.
    pub fn get(self) -> usize {
        self.0.into()
    }
}

impl TryFrom<u64> for FieldCount {
    type Error = String;
    fn try_from(number: u64) -> Result<Self, String> {
        match u8::try_from(number) {
            Ok(count @ 1..=FIELD_COUNT_MAX) => Ok(Self(count)),
            _ => Err(format!(
                "{number} fields are out of range: 1 to {FIELD_COUNT_MAX}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(json: &str) -> Result<Limits, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn limits_are_written_as_people_write_them_and_kept_as_numbers() {
        let limits =
            limits(r#"{"maxBodySize":"10mb","maxTargetSize":"8kb","headTimeout":"5s","maxFields":50}"#);
        assert_eq!(
            serde_json::to_string(&limits.unwrap()).unwrap(),
            r#"{"maxBodySize":10485760,"maxTargetSize":8192,"maxFields":50,"headTimeout":5000}"#
        );
    }

    #[test]
    fn no_limit_is_larger_than_what_is_read_at_all() {
        for wrong in [
            r#"{"maxHeadSize":65537}"#,
            r#"{"maxTargetSize":"1mb"}"#,
            r#"{"maxFields":101}"#,
        ] {
            assert!(
                limits(wrong).unwrap_err().to_string().contains("out of range"),
                "{wrong}"
            );
        }
        assert!(limits(r#"{"maxHeadSize":65536,"maxFields":100}"#).is_ok());
    }
}

//! Closed hours: messages on ROLLUPS, so that what was counted outlives the frames that it was counted from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BootId, NodeId, Sketch, Timestamp, envelope::Envelope};

/// `ce-type` of a closed hour.
pub const TYPE: &str = "io.flexgate.rollup.hour.v1";

/// What became of the requests of an hour. A later version of an hour replaces all of the earlier; nothing is ever added.
///
/// An hour with many routes is several messages, its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClosedHour {
    /// When the hour began.
    pub hour: Timestamp,
    /// How often it was published with this, from 1.
    pub version: u32,
    /// Which part this is, from 1.
    pub part: u32,
    /// How many parts there are.
    pub parts: u32,
    /// When the stream OUTCOMES was created, in microseconds since 1970.
    pub stream_created: i64,
    /// Frames up to this sequence of it are counted.
    pub through: u64,
    /// What is counted of each source that had requests in this hour. In the first part only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<Covered>,
    /// By route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteHour>,
    /// By route, upstream, status class and refusal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<StatusHour>,
    /// By API key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyHour>,
}

/// Up to where the outcomes of a source are counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Covered {
    /// The node.
    pub node: NodeId,
    /// Which start of it.
    pub boot: BootId,
    /// Which core of it.
    pub core: u16,
    /// The counter after the last one.
    pub mark: u64,
    /// First counter and the one after the last of each run below it that is not counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holes: Vec<(u64, u64)>,
}

/// Requests of a route; of none, if no route took them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteHour {
    /// The route's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// How many.
    pub requests: u64,
    /// How many of them were errors.
    pub errors: u64,
    /// Bytes of their bodies.
    pub bytes_in: u64,
    /// Bytes of the answers' bodies.
    pub bytes_out: u64,
    /// Microseconds from arrival to the last byte.
    pub latency: Sketch,
    /// Microseconds until an upstream's answer began, of those that had one.
    pub upstream_latency: Sketch,
}

/// How requests were answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusHour {
    /// The route's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// The first digit of the status; 0 if there was no answer.
    pub status_class: u8,
    /// The code of the refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// How many.
    pub requests: u64,
}

/// What a key was used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyHour {
    /// The key's id.
    pub key: String,
    /// How many requests came with it.
    pub requests: u64,
    /// How many of them were errors.
    pub errors: u64,
    /// Bytes of their bodies.
    pub bytes_in: u64,
    /// Bytes of the answers' bodies.
    pub bytes_out: u64,
}

impl ClosedHour {
    /// The token of its subject: `yyyymmddhh`, in UTC.
    pub fn subject_token(&self) -> String {
        let text = self.hour.to_string();
        text.chars().filter(char::is_ascii_digit).take(10).collect()
    }

    /// Its CloudEvents attributes, written at a time.
    pub fn envelope(&self, at: Timestamp) -> Envelope {
        let token = self.subject_token();
        Envelope {
            id: format!("{token}-{}-{}", self.version, self.part),
            type_name: TYPE.to_owned(),
            source: "/projections/outcomes".to_owned(),
            time: at,
            subject: Some(format!("hour/{token}")),
            auth: None,
            provenance: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_hour_is_called_by_its_hour() {
        let hour = ClosedHour {
            hour: "2026-11-23T09:00:00Z".parse().unwrap(),
            version: 2,
            part: 1,
            parts: 1,
            stream_created: 0,
            through: 7,
            covers: Vec::new(),
            routes: Vec::new(),
            statuses: Vec::new(),
            keys: Vec::new(),
        };
        assert_eq!(hour.subject_token(), "2026112309");
        assert_eq!(hour.envelope(hour.hour).id, "2026112309-2-1");
    }
}

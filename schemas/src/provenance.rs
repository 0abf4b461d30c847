//! From where something was asked for, and by which request.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Traceparent;

/// The schema level of a commit that says where it was asked for. Older readers would freeze at it, so that writers leave
/// it out until every member can read it.
pub const PROVENANCE_LEVEL: u32 = 6;

/// The longest name of a program that is kept, in characters.
const AGENT_MAX: usize = 128;

/// From where something was asked for, and by which request. All of it is for people: nothing is decided by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provenance {
    /// The request's `X-Correlation-ID`, sent or made: 1 to 128 visible ASCII characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub correlation_id: Option<Box<str>>,
    /// The trace that it belongs to, if it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Traceparent>,
    /// Who sent it, as far as trusted proxies can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The program that sent it, as it calls itself: the beginning of its `User-Agent`. Nobody checks that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub agent: Option<Box<str>>,
}

impl Provenance {
    /// What a program may call itself: as much as is kept, and nothing that could be taken for more than a name.
    pub fn agent(sent: &str) -> Option<Box<str>> {
        let visible = |character: &char| matches!(character, ' '..='~');
        let kept: String = sent.chars().filter(visible).take(AGENT_MAX).collect();
        let kept = kept.trim();
        (!kept.is_empty()).then(|| kept.into())
    }

    /// The id of the trace, if it belongs to one: 32 hexadecimal digits.
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_ref().map(Traceparent::trace_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_program_calls_itself_a_line_is_kept() {
        assert_eq!(Provenance::agent("curl/8.5.0").as_deref(), Some("curl/8.5.0"));
        assert_eq!(Provenance::agent("a\r\nb\u{7f} ").as_deref(), Some("ab"));
        assert_eq!(Provenance::agent(" "), None);
        assert_eq!(Provenance::agent(&"x".repeat(500)).unwrap().len(), 128);
    }
}

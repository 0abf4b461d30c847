//! The stream ADMIN: what was asked of the admin API, or by a configuration file, and is not on CONFIG: it was refused, or it
//! is not about the configuration. Never what a request had in its query, headers or body: there may be secrets in them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    NodeId, Provenance, Timestamp,
    commit::{Actor, Source},
    envelope::{self, Envelope},
};

/// What schemas and documents call a message on ADMIN.
pub const MESSAGE: &str = "io.flexgate.admin.event.v1";
/// The longest path that is kept, in characters.
const PATH_MAX: usize = 256;
/// How many mistakes of a file are said to be where.
pub const PLACES_MAX: usize = 10;

/// One message on ADMIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminEvent {
    /// Unique; repetitions of one publication carry the same.
    pub id: Box<str>,
    /// The node whose admin API was asked.
    pub node: NodeId,
    /// When, by its clock.
    pub at: Timestamp,
    /// Who asked; nothing if they did not prove who they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// Through what.
    pub source: Source,
    /// From where, and by which request.
    #[serde(default)]
    pub provenance: Provenance,
    /// What.
    #[serde(flatten)]
    pub deed: Deed,
}

/// What became of it. The end of the subject `flexgate.admin.<verb>` is its verb.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
pub enum Deed {
    /// It was done, and is not about the configuration. With a problem's code: it may have been done, but whoever was to do it
    /// did not say so in time.
    #[serde(rename = "io.flexgate.admin.done.v1")]
    Done(Call),
    /// Somebody did not prove who they are, or may not do that.
    #[serde(rename = "io.flexgate.admin.denied.v1")]
    Denied(Call),
    /// Somebody who may was told that it cannot be done, or not that way.
    #[serde(rename = "io.flexgate.admin.refused.v1")]
    Refused(Call),
    /// A configuration file that a process was given could not become the configuration.
    #[serde(rename = "io.flexgate.admin.rejected.v1")]
    Rejected(Rejection),
}

/// A call that changes something, or would have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Call {
    /// Its method.
    pub method: Box<str>,
    /// Its path, without the query: the first 256 characters.
    pub path: Box<str>,
    /// The status of the answer.
    pub status: u16,
    /// The kind of the problem, for programs; none if it is known to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Box<str>>,
    /// How many calls this stands for. Of many in a minute from one address that did not prove who it is, the first are told
    /// one by one, and the others together, with the last of them as the example.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    #[schemars(range(min = 1))]
    pub times: u64,
}

/// What is wrong with a file. Where, and not what: the words could repeat what stands in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rejection {
    /// Which file.
    pub file: Box<str>,
    /// The kind of the problem, for programs: `invalid` for mistakes in it.
    pub code: Box<str>,
    /// How many mistakes there are.
    pub mistakes: u64,
    /// Where the first ten of them are, as `line:column`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub places: Vec<Box<str>>,
}

impl Call {
    /// A call that was answered so.
    pub fn new((method, path): (&str, &str), status: u16, code: Option<&str>) -> Self {
        Self {
            method: method.into(),
            path: path.chars().take(PATH_MAX).collect(),
            status,
            code: code.map(Into::into),
            times: 1,
        }
    }
}

impl Deed {
    /// One word: the end of the subject.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Denied(_) => "denied",
            Self::Refused(_) => "refused",
            Self::Rejected(_) => "rejected",
        }
    }

    /// The CloudEvents type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Done(_) => "io.flexgate.admin.done.v1",
            Self::Denied(_) => "io.flexgate.admin.denied.v1",
            Self::Refused(_) => "io.flexgate.admin.refused.v1",
            Self::Rejected(_) => "io.flexgate.admin.rejected.v1",
        }
    }

    /// How much it matters, as the audit log says it.
    pub fn level(&self) -> &'static str {
        match self {
            Self::Done(Call { code: None, .. }) | Self::Refused(_) => "info",
            Self::Done(_) | Self::Denied(_) | Self::Rejected(_) => "warn",
        }
    }

    /// The call, if it was one.
    pub fn call(&self) -> Option<&Call> {
        match self {
            Self::Done(call) | Self::Denied(call) | Self::Refused(call) => Some(call),
            Self::Rejected(_) => None,
        }
    }

    /// The kind of the problem, for programs, if there is one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Done(call) | Self::Denied(call) | Self::Refused(call) => call.code.as_deref(),
            Self::Rejected(rejection) => Some(&rejection.code),
        }
    }
}

/// As a sentence: `POST /api/routes refused: already_exists`.
impl fmt::Display for Deed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(call) | Self::Denied(call) | Self::Refused(call) => {
                let Call {
                    method, path, code, ..
                } = call;
                let became = match self {
                    Self::Done(_) if code.is_some() => "may be done",
                    _ => self.verb(),
                };
                write!(out, "{method} {path} {became}")?;
                if let Some(code) = code {
                    write!(out, ": {code}")?;
                }
                if call.times > 1 {
                    write!(out, ", {} times", call.times)?;
                }
                Ok(())
            }
            Self::Rejected(Rejection {
                file,
                code,
                mistakes,
                places,
            }) => {
                write!(out, "File {file} rejected: {code}")?;
                if *mistakes > 0 {
                    let s = if *mistakes == 1 { "" } else { "s" };
                    write!(out, ", {mistakes} mistake{s}")?;
                }
                places.first().map_or(Ok(()), |place| write!(out, ", at {place}"))
            }
        }
    }
}

impl AdminEvent {
    /// Reads the stored form.
    pub fn from_payload(payload: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(payload)
    }

    /// Its CloudEvents attributes.
    pub fn envelope(&self) -> Envelope {
        Envelope {
            id: self.id.to_string(),
            type_name: self.deed.type_name().to_owned(),
            source: format!("/nodes/{}", self.node),
            time: self.at,
            subject: self.deed.call().map(|call| call.path.to_string()),
            auth: Some(envelope::auth(self.actor.as_ref())),
            provenance: Some(self.provenance.clone()),
        }
    }
}

fn once() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_once(times: &u64) -> bool {
    *times == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deed_is_told_in_a_sentence() {
        let call = Call::new(("POST", "/api/routes"), 409, Some("already_exists"));
        let check = |deed: Deed, sentence: &str| assert_eq!(deed.to_string(), sentence);
        check(
            Deed::Refused(call.clone()),
            "POST /api/routes refused: already_exists",
        );
        check(
            Deed::Done(Call::new(("DELETE", "/api/nodes/b"), 204, None)),
            "DELETE /api/nodes/b done",
        );
        check(
            Deed::Done(Call::new(
                ("POST", "/api/projections/outcomes/rebuild"),
                503,
                Some("projector_silent"),
            )),
            "POST /api/projections/outcomes/rebuild may be done: projector_silent",
        );
        check(
            Deed::Denied(Call { times: 40, ..call }),
            "POST /api/routes denied: already_exists, 40 times",
        );
        let rejection = Rejection {
            file: "proxy.yml".into(),
            code: "invalid".into(),
            mistakes: 2,
            places: vec!["3:7".into(), "9:1".into()],
        };
        check(
            Deed::Rejected(rejection),
            "File proxy.yml rejected: invalid, 2 mistakes, at 3:7",
        );
    }

    #[test]
    fn of_a_long_path_the_beginning_is_kept() {
        assert_eq!(
            Call::new(("PUT", &"é".repeat(999)), 404, None)
                .path
                .chars()
                .count(),
            256
        );
    }
}

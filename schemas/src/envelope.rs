//! CloudEvents 1.0 attributes as message headers: lower-case names, percent-encoded values.

use std::fmt::Write as _;

use crate::{Commit, Timestamp, commit::ActorKind};

/// The attributes of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `ce-id`: unique per source.
    pub id: String,
    /// `ce-type`: `io.flexgate....v1`.
    pub type_name: String,
    /// `ce-source`: who wrote it, as a URI reference.
    pub source: String,
    /// `ce-time`.
    pub time: Timestamp,
    /// `ce-subject`: what it is about.
    pub subject: Option<String>,
    /// `ce-authtype` and `ce-authid`: who asked for it.
    pub auth: Option<(String, String)>,
}

impl Envelope {
    /// The envelope of a commit: of its event when it has one, else of a change set.
    pub fn of_commit(commit: &Commit) -> Self {
        let type_name = match &*commit.events {
            [event] => event.type_name(),
            _ => "io.flexgate.changeset.committed.v1",
        };
        let auth_type = match commit.actor.kind {
            ActorKind::Token => "app_user",
            ActorKind::System => "system",
        };
        Self {
            id: commit.id.to_string(),
            type_name: type_name.to_owned(),
            source: format!("/clusters/{}", commit.cluster),
            time: commit.at,
            subject: Some(commit.subject().replace('.', "/")),
            auth: Some((auth_type.to_owned(), commit.actor.id.to_string())),
        }
    }

    /// The headers, in a fixed order.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("ce-specversion", "1.0".to_owned()),
            ("ce-id", encode(&self.id)),
            ("ce-type", encode(&self.type_name)),
            ("ce-source", encode(&self.source)),
            ("ce-time", self.time.to_string()),
            ("ce-datacontenttype", "application/json".to_owned()),
        ];
        if let Some(subject) = &self.subject {
            headers.push(("ce-subject", encode(subject)));
        }
        if let Some((kind, id)) = &self.auth {
            headers.push(("ce-authtype", encode(kind)));
            headers.push(("ce-authid", encode(id)));
        }
        headers
    }
}

/// Percent-encodes what the HTTP protocol binding of CloudEvents says must be (3.1.3.2): everything but printable
/// ASCII, and space, double quote and percent.
fn encode(value: &str) -> String {
    value
        .bytes()
        .fold(String::with_capacity(value.len()), |mut out, byte| {
            if matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'%') {
                out.push(byte.into());
            } else {
                let _infallible = write!(out, "%{byte:02X}");
            }
            out
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_percent_encoded() {
        assert_eq!(encode("route/é \"a\" 100%"), "route/%C3%A9%20%22a%22%20100%25");
    }
}

//! CloudEvents 1.0 attributes as message headers: lower-case names, percent-encoded values.

use std::fmt::Write as _;

use crate::{
    Commit, Provenance, Timestamp,
    commit::{Actor, ActorKind},
};

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
    /// `ce-authtype` and `ce-authid`: who asked for it, if they proved it.
    pub auth: Option<(&'static str, Option<String>)>,
    /// `ce-correlationid` and `ce-traceparent`: the request that asked for it.
    pub provenance: Option<Provenance>,
}

impl Envelope {
    /// The envelope of a commit: of its event when it has one, else of a change set.
    pub fn of_commit(commit: &Commit) -> Self {
        let type_name = match &*commit.events {
            [event] => event.type_name(),
            _ => "io.flexgate.changeset.committed.v1",
        };
        Self {
            id: commit.id.to_string(),
            type_name: type_name.to_owned(),
            source: format!("/clusters/{}", commit.cluster),
            time: commit.at,
            subject: Some(commit.subject().replace('.', "/")),
            auth: Some(auth(Some(&commit.actor))),
            provenance: commit.provenance.as_deref().cloned(),
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
            headers.extend(id.iter().map(|id| ("ce-authid", encode(id))));
        }
        let request = self.provenance.iter();
        for Provenance {
            correlation_id,
            traceparent,
            ..
        } in request
        {
            headers.extend(correlation_id.iter().map(|id| ("ce-correlationid", encode(id))));
            headers.extend(
                traceparent
                    .iter()
                    .map(|trace| ("ce-traceparent", trace.to_string())),
            );
        }
        headers
    }
}

/// Who asked for something, in the words of the extension `authcontext`.
pub(crate) fn auth(actor: Option<&Actor>) -> (&'static str, Option<String>) {
    let kind = match actor.map(|actor| actor.kind) {
        Some(ActorKind::Token) => "app_user",
        Some(ActorKind::System) => "system",
        None => "unauthenticated",
    };
    (kind, actor.map(|actor| actor.id.to_string()))
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
    fn a_message_names_the_request_that_asked_for_it() {
        let golden = include_bytes!("../golden/commits/provenance.json");
        let commit = Commit::from_payload(golden.trim_ascii()).unwrap();
        let headers = Envelope::of_commit(&commit).headers();
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (name, value) in [
            ("ce-correlationid", "order-4711"),
            ("ce-traceparent", traceparent),
            ("ce-authtype", "app_user"),
            ("ce-authid", "admin"),
        ] {
            assert!(headers.contains(&(name, value.to_owned())), "{name}: {headers:?}");
        }
    }

    #[test]
    fn values_are_percent_encoded() {
        assert_eq!(encode("route/é \"a\" 100%"), "route/%C3%A9%20%22a%22%20100%25");
    }
}

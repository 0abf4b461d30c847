//! What a commit did, for those who ask later.

use std::fmt;

use serde::Serialize;

use crate::{Commit, Event, Route, Settings, Upstream, event::Entity, key::ToldKey};

/// What became of one entity in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'a> {
    /// Which entity; never the log.
    pub entity: Entity,
    /// What became of it.
    pub action: Action,
    /// All of it afterwards, if it is still there.
    pub after: Option<Value<'a>>,
}

/// What can become of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It came to be.
    Created,
    /// It has a new value.
    Updated,
    /// It is gone.
    Deleted,
}

/// An entity, as it may be told: without hashes and sealed secrets of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value<'a> {
    /// A route.
    Route(&'a Route),
    /// An upstream.
    Upstream(&'a Upstream),
    /// The settings.
    Settings(&'a Settings),
    /// A key.
    Key(Box<ToldKey>),
}

impl<'a> Change<'a> {
    /// What an event changed; nothing, if it is only about the log.
    pub fn of(event: &'a Event) -> Option<Self> {
        let (action, after) = match event {
            Event::HistoryStarted(_) | Event::LogFenced(_) | Event::FileApplied(_) => return None,
            Event::RouteCreated(route) => (Action::Created, Some(Value::Route(route))),
            Event::RouteUpdated(route) => (Action::Updated, Some(Value::Route(route))),
            Event::UpstreamCreated(upstream) => (Action::Created, Some(Value::Upstream(upstream))),
            Event::UpstreamUpdated(upstream) => (Action::Updated, Some(Value::Upstream(upstream))),
            Event::SettingsUpdated(settings) => (Action::Updated, Some(Value::Settings(settings))),
            Event::KeyCreated(key) => (Action::Created, Some(Value::Key(Box::new(key.told())))),
            Event::KeyUpdated(key) => (Action::Updated, Some(Value::Key(Box::new(key.told())))),
            Event::RouteDeleted(_) | Event::UpstreamDeleted(_) | Event::KeyDeleted(_) => {
                (Action::Deleted, None)
            }
        };
        Some(Self {
            entity: event.entity(),
            action,
            after,
        })
    }
}

impl Action {
    /// One word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

/// As a sentence: `Route "users" updated`.
impl fmt::Display for Change<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = self.action.as_str();
        match &self.entity {
            Entity::Route(id) => write!(out, "Route \"{id}\" {action}"),
            Entity::Upstream(name) => write!(out, "Upstream \"{name}\" {action}"),
            Entity::Settings => write!(out, "Settings {action}"),
            Entity::Key(id) => write!(out, "Key \"{id}\" {action}"),
            Entity::Log => out.write_str("Log written"),
        }
    }
}

impl Commit {
    /// What it did, in a sentence: `Route "users" updated`, `File proxy.yml applied: 12 changes`.
    pub fn message(&self) -> String {
        let mut changes = self.events.iter().filter_map(Change::of);
        let told = match (changes.next(), changes.count()) {
            (None, _) => None,
            (Some(only), 0) => Some(only.to_string()),
            (Some(_), more) => Some(format!("{} changes", more + 1)),
        };
        let occasion = self.events.iter().find_map(|event| match event {
            Event::HistoryStarted(started) => Some(format!("History started: {}", started.reason)),
            Event::LogFenced(fenced) => Some(format!("Commit {} given up", fenced.commit)),
            Event::FileApplied(applied) => Some(format!("File {} applied", applied.file)),
            _ => None,
        });
        match (occasion, told) {
            (Some(occasion), Some(told)) => format!("{occasion}: {told}"),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => "Nothing changed".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Chain, Timestamp, event::HistoryStarted};

    fn commit(events: &[&str]) -> Commit {
        let start = Event::HistoryStarted(HistoryStarted {
            reason: String::new(),
        });
        let place = ("c".parse().unwrap(), 1, Chain::ZERO);
        let read = |text: &&str| serde_json::from_str(text).unwrap();
        Commit {
            events: events.iter().map(read).collect::<Arc<[Event]>>(),
            ..Commit::by_system(
                "first".parse().unwrap(),
                place,
                Timestamp::from_millis(0).unwrap(),
                start,
            )
        }
    }

    #[test]
    fn a_commit_says_what_it_did() {
        let route =
            r#"{"type":"io.flexgate.route.updated.v1","data":{"id":"a","path":"/a","upstream":"http://x"}}"#;
        let gone = r#"{"type":"io.flexgate.upstream.deleted.v1","data":{"name":"pay"}}"#;
        let file = format!(
            r#"{{"type":"io.flexgate.file.applied.v1","data":{{"file":"proxy.yml","digest":"{}"}}}}"#,
            "0".repeat(64)
        );
        let said = |events: &[&str]| commit(events).message();
        assert_eq!(said(&[route]), "Route \"a\" updated");
        assert_eq!(said(&[route, gone]), "2 changes");
        assert_eq!(
            said(&[gone, &file]),
            "File proxy.yml applied: Upstream \"pay\" deleted"
        );
        assert_eq!(said(&[&file]), "File proxy.yml applied");
    }
}

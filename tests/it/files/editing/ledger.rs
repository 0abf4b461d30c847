//! The log, held against what everybody was answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use flexgate::{
    domain::{ConfigState, Stamp, evolve},
    journal::{jetstream::JetStreamLog, store::Store as _},
};
use flexgate_schemas::{Commit, Event, Route, RouteId, event::Entity};
use http::Method;
use serde_json::Value;

use super::editors::{Attempt, What};
use crate::client::Admin;

/// A commit with the configuration before it, and what files said of routes then.
struct Entry {
    revision: u64,
    commit: Commit,
    before: ConfigState,
    said: BTreeMap<RouteId, (String, Arc<Route>)>,
}

/// All commits after the beginning of the test.
pub(super) struct Ledger {
    entries: Vec<Entry>,
    last: ConfigState,
}

/// How it went.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) accepted: u32,
    unchanged: u32,
    refusals: BTreeMap<String, u32>,
}

impl Figures {
    pub(super) fn refused(&self) -> u32 {
        self.refusals.values().sum()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (accepted, unchanged) = (self.accepted, self.unchanged);
        write!(out, "accepted {accepted}, of which {unchanged} changed nothing")?;
        for (kind, count) in &self.refusals {
            write!(out, "; {kind} {count}")?;
        }
        Ok(())
    }
}

impl Ledger {
    pub(super) async fn read(log: &JetStreamLog, begun: u64) -> Self {
        let last = log.head().await.unwrap().last;
        let mut state = ConfigState::default();
        let mut said = BTreeMap::new();
        let mut entries = Vec::new();
        for revision in 1..=last {
            let record = log.read(revision).await.unwrap().unwrap();
            let commit = Commit::from_payload(&record.payload).unwrap();
            let before = state.clone();
            let earlier = said.clone();
            let at = commit.at;
            for event in &*commit.events {
                evolve(&mut state, event, &Stamp { revision, at });
                if let Event::FileApplied(applied) = event {
                    for id in &applied.releases.routes {
                        said.remove(id);
                    }
                    for id in &applied.claims.routes {
                        let value = state.route(id).unwrap().value.clone();
                        said.insert(id.clone(), (applied.file.to_string(), value));
                    }
                }
            }
            if revision > begun {
                entries.push(Entry {
                    revision,
                    commit,
                    before,
                    said: earlier,
                });
            }
        }
        Self { entries, last: state }
    }

    pub(super) fn last_revision(&self) -> u64 {
        self.entries.last().unwrap().revision
    }

    /// Every acceptance is in the log, and what it was decided on was so; nothing else is in the log; and every refusal
    /// says why.
    pub(super) fn accounts_for(&self, attempts: &[Attempt]) -> Figures {
        let by_reason: BTreeMap<&str, &Entry> = self
            .entries
            .iter()
            .map(|entry| (entry.commit.reason.as_deref().unwrap(), entry))
            .collect();
        assert_eq!(by_reason.len(), self.entries.len());
        let mut figures = Figures::default();
        let mut found = BTreeSet::new();
        for attempt in attempts {
            let entry = by_reason.get(&*attempt.reason);
            if !attempt.answer.status.is_success() {
                assert!(entry.is_none(), "{attempt:?} is in the log");
                *figures.refusals.entry(explained(attempt)).or_default() += 1;
                continue;
            }
            figures.accepted += 1;
            let Some(entry) = entry else {
                figures.unchanged += 1;
                let is_file = matches!(attempt.what, What::Apply { .. });
                assert!(is_file, "{attempt:?} is lost");
                assert_eq!(attempt.answer.json()["changes"], Value::Array(vec![]));
                continue;
            };
            found.insert(entry.revision);
            let told = attempt.answer.headers["flexgate-revision"].to_str().unwrap();
            assert_eq!(told, entry.revision.to_string());
            entry.was_decided_on_what_was_there(&attempt.what);
        }
        assert_eq!(found.len(), self.entries.len(), "somebody else has written");
        figures
    }

    pub(super) async fn is_what_is_served(&self, api: &Admin) {
        let answer = api.call(Method::GET, "/api/config", None).await;
        let served: Vec<Route> = serde_json::from_value(answer.json()["routes"].clone()).unwrap();
        let folded: Vec<_> = self
            .last
            .routes()
            .values()
            .map(|entry| Route::clone(&entry.value))
            .collect();
        assert_eq!(served, folded);
    }
}

impl Entry {
    fn was_decided_on_what_was_there(&self, what: &What) {
        let there = |id: &str| self.before.route(&id.parse().unwrap());
        match what {
            What::Change { id, seen } => assert_eq!(there(id).map(|entry| entry.revision), Some(*seen)),
            What::Create { id } => assert!(there(id).is_none()),
            What::Patch { id, timeout } => {
                let mut expected = Route::clone(&there(id).unwrap().value);
                expected.timeout = Some((*timeout).try_into().unwrap());
                assert!(
                    matches!(&self.commit.events[..], [Event::RouteUpdated(route)] if **route == expected)
                );
            }
            What::Apply { file, forced } => {
                for event in self.commit.events.iter().filter(|_| !forced) {
                    self.undid_nobody(file, event);
                }
            }
        }
    }

    /// A file changes and deletes only what is still as it said, and creates only what nobody has deleted.
    fn undid_nobody(&self, file: &str, event: &Event) {
        let Entity::Route(id) = event.entity() else {
            return;
        };
        let there = self.before.route(&id).map(|entry| &entry.value);
        match (event, self.said.get(&id)) {
            (Event::RouteCreated(_), said) => assert!(there.is_none() && said.is_none()),
            (_, Some((owner, said))) => assert_eq!((&**owner, Some(said)), (file, there)),
            (_, None) => panic!("{file} has changed {id}, which is not its own"),
        }
    }
}

/// Under which code something was refused; it says what stands against it, and by whom or when.
fn explained(attempt: &Attempt) -> String {
    let problem = attempt.answer.json();
    let (code, detail) = (
        problem["code"].as_str().unwrap(),
        problem["detail"].as_str().unwrap(),
    );
    let names = |words: &[&str]| words.iter().any(|word| detail.contains(word));
    let status = attempt.answer.status.as_u16();
    let (expected, is_told) = match (&attempt.what, code) {
        (What::Change { .. }, "stale") => (412, names(&["changed by revision", "does not exist"])),
        (What::Change { .. } | What::Patch { .. }, "not_found") => (404, names(&["there is no route"])),
        (What::Create { .. }, "stale") => (412, names(&["changed by revision"])),
        (What::Apply { forced: false, .. }, "file_conflict") => (
            409,
            names(&["belongs to the file", "revision", "was deleted"])
                && problem["errors"][0]["detail"].is_string(),
        ),
        _ => (0, false),
    };
    assert!(status == expected && is_told, "{attempt:?}: {problem}");
    format!("{status} {code}")
}

//! The answers of the health endpoints: the original's, and what there is to add.

use std::collections::BTreeMap;

use flexgate_schemas::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{ALL, CHECKS, Check, Dependency};
use crate::journal::{self, View};

/// Good or not, in the original's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// It works.
    Up,
    /// It does not.
    Down,
    /// It is not used.
    Off,
}

/// The answer of `/health`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Alive {
    /// `UP`: a process that answers is alive.
    pub status: Verdict,
    /// When this was asked.
    pub timestamp: Timestamp,
    /// The version of the program; `/health` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'static str>,
}

/// The answer of `/health/ready`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// `UP`: send requests here.
    pub status: Verdict,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// What it uses and keeps. None of them makes it unready.
    pub checks: Checks,
    /// Why a check is not `UP`.
    #[serde(default, skip_serializing_if = "Reasons::is_empty")]
    pub reasons: Reasons,
    /// Where it is in the log; absent until it has looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalReport>,
}

/// What a process uses and keeps, each with how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Checks {
    /// PostgreSQL.
    pub database: Verdict,
    /// Redis or Valkey.
    pub redis: Verdict,
    /// NATS JetStream.
    pub jetstream: Verdict,
    /// The read models of the configuration, where this process keeps them.
    pub projections: Verdict,
    /// The read models of outcomes, where this process keeps them.
    pub outcomes: Verdict,
    /// The read model of alerts, where this process keeps it.
    pub alerts: Verdict,
    /// The part of the audit log that says what was not done, where this process keeps it.
    #[serde(rename = "adminEvents")]
    pub admin_events: Verdict,
    /// Where outcomes wait for the stream, where this process records any. `DOWN`: they are lost, or the stream does not get
    /// them.
    pub outbox: Verdict,
    /// The keys that providers of tokens publish, where this process checks tokens. `DOWN`: they are old, or were never there.
    pub tokens: Verdict,
}

/// Why a check is not `UP`, by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reasons(BTreeMap<Dependency, Box<str>>);

impl Checks {
    /// In the order of [`ALL`].
    pub(super) fn of(checks: &[Check; CHECKS]) -> Self {
        let [
            database,
            redis,
            jetstream,
            projections,
            outcomes,
            alerts,
            admin_events,
            outbox,
            tokens,
        ] = checks.each_ref().map(Check::verdict);
        Self {
            database,
            redis,
            jetstream,
            projections,
            outcomes,
            alerts,
            admin_events,
            outbox,
            tokens,
        }
    }
}

impl Reasons {
    pub(super) fn of(checks: [Check; CHECKS]) -> Self {
        let reasons = ALL.into_iter().zip(checks);
        Self(
            reasons
                .filter_map(|(dependency, check)| Some((dependency, check.reason()?)))
                .collect(),
        )
    }

    /// Why a dependency is not `UP`.
    pub fn why(&self, dependency: Dependency) -> Option<&str> {
        self.0.get(&dependency).map(AsRef::as_ref)
    }

    /// Whether every check is `UP`.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Where a process is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JournalReport {
    /// Whether it follows the log.
    pub status: JournalStatus,
    /// The history.
    pub generation: u64,
    /// The last commit that is served.
    pub revision: u64,
    /// Why it does not follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The configuration is what the snapshot file held: the log was not reached since the start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_snapshot: bool,
}

/// Whether a process follows the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum JournalStatus {
    /// It does.
    Following,
    /// It serves the last good revision and goes no further.
    Frozen,
    /// It cannot reach the log and serves what it has.
    Disconnected,
}

impl JournalReport {
    /// What a view says of the journal.
    pub fn of(view: &View) -> Self {
        let (status, reason) = match &view.status {
            journal::Status::Following => (JournalStatus::Following, None),
            journal::Status::Frozen { reason } => (JournalStatus::Frozen, Some(reason.clone())),
            journal::Status::Disconnected { reason } => (JournalStatus::Disconnected, Some(reason.clone())),
        };
        Self {
            status,
            generation: view.generation(),
            revision: view.revision(),
            reason,
            from_snapshot: view.from_snapshot,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_wrong_with_a_check_stands_under_its_name() {
        let checks = ALL.map(|dependency| Check::Down(format!("{dependency:?}").into()));
        let names = |shown: Value| shown.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let (checks, reasons) = (Checks::of(&checks), Reasons::of(checks));
        assert_eq!(names(json!(reasons)), names(json!(checks)));
        assert_eq!(json!(reasons)["adminEvents"], "AdminEvents");
        assert_eq!(reasons.why(Dependency::Tokens), Some("Tokens"));
        assert!(Reasons::of(ALL.map(|_| Check::Up)).is_empty());
    }
}

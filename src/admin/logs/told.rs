//! What is told of the past: entries of the audit log, wherever they were read.

use flexgate_projections::{AuditChange, AuditCursor, AuditEntry};
use flexgate_schemas::{Provenance, Timestamp, audit::Change};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// A page.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AuditLog")]
pub(super) struct Told {
    /// The newest first.
    pub(super) logs: Vec<Log>,
    /// How many there are on all pages; absent where the log itself was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) total: Option<u64>,
    /// Which page it is; of one that a cursor has led to 1.
    pub(super) page: u32,
    /// The most entries of a page.
    pub(super) page_size: u16,
    /// `tables`, or `log` while those do not answer.
    pub(super) read_from: &'static str,
    /// Where the next page begins, if there may be one.
    #[serde(skip)]
    pub(super) next: Option<AuditCursor>,
}

/// What was done once.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
pub(super) struct Log {
    /// Stream and sequence: the same however often the tables are made anew.
    pub(super) id: String,
    /// When.
    pub(super) timestamp: Timestamp,
    /// How much it matters.
    pub(super) level: String,
    /// What, in a sentence.
    pub(super) message: String,
    /// All of it.
    pub(super) metadata: Metadata,
}

/// All that is known of it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AuditMetadata")]
pub(super) struct Metadata {
    /// Who: the name of a token, or of a process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) actor: Option<String>,
    /// How they proved who they are: `token`, or `system` for what FlexGate does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) actor_type: Option<String>,
    /// Through what: `api`, `file` or `system`.
    pub(super) source: String,
    /// The configuration file that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    /// Why, if they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// The revision that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) revision: Option<i64>,
    /// The id of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) commit: Option<String>,
    /// From where, and by which request, if that is known.
    #[serde(flatten)]
    pub(super) from: Origin,
    /// The method of a request that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) method: Option<String>,
    /// Its path, without the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<String>,
    /// The status that it was answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<i32>,
    /// Why it was not done, in one word for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
    /// How many requests this stands for: from one address that does not prove who sends them, the first ten of a minute are
    /// told one by one, and the others together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) times: Option<i64>,
    /// How many changes it made.
    pub(super) changes_total: i64,
    /// The first 100 of them.
    pub(super) changes: Vec<Changed>,
}

/// From where something was asked for, and by which request.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AuditOrigin")]
pub(super) struct Origin {
    /// The correlation id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) correlation: Option<String>,
    /// The id of the trace that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trace: Option<String>,
    /// Who sent it, as far as trusted proxies can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
    /// The program that sent it, as it calls itself: `flexgate-cli/0.1.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) agent: Option<String>,
}

/// What became of one entity.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditChange")]
pub(super) struct Changed {
    /// What it is: `route`, `upstream`, `settings` or `key`.
    pub(super) kind: String,
    /// Which.
    pub(super) id: String,
    /// `created`, `updated` or `deleted`.
    pub(super) action: String,
    /// All of it before, if it was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<Value>,
    /// All of it afterwards, if it is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<Value>,
}

impl From<AuditEntry> for Log {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id,
            timestamp: entry.at.into(),
            level: entry.level,
            message: entry.message,
            metadata: Metadata {
                actor: entry.actor,
                actor_type: entry.actor_type,
                source: entry.source,
                file: entry.file,
                reason: entry.reason,
                revision: entry.revision,
                // Of what was not done it is the id of the event.
                commit: entry.commit_id.filter(|_| entry.revision.is_some()),
                from: Origin {
                    correlation: entry.correlation,
                    trace: entry.trace,
                    address: entry.address,
                    agent: entry.agent,
                },
                method: entry.method,
                path: entry.path,
                status: entry.status,
                code: entry.code,
                times: entry.times,
                changes_total: entry.total,
                changes: entry.changes.into_iter().map(Changed::from).collect(),
            },
        }
    }
}

impl From<AuditChange> for Changed {
    fn from(change: AuditChange) -> Self {
        let AuditChange {
            kind,
            id,
            action,
            before,
            after,
        } = change;
        Self {
            kind,
            id,
            action,
            before,
            after,
        }
    }
}

impl Origin {
    pub(super) fn of(provenance: &Provenance) -> Self {
        Self {
            correlation: provenance.correlation_id.as_deref().map(str::to_owned),
            trace: provenance.trace_id().map(str::to_owned),
            address: provenance.address.map(|address| address.to_string()),
            agent: provenance.agent.as_deref().map(str::to_owned),
        }
    }
}

impl From<Change<'_>> for Changed {
    fn from(change: Change<'_>) -> Self {
        let after = change.after.map(|after| {
            serde_json::to_value(after).expect("an entity has string keys and finite numbers only")
        });
        Self {
            kind: change.entity.kind().to_owned(),
            id: change.entity.id(),
            action: change.action.as_str().to_owned(),
            before: None,
            after,
        }
    }
}

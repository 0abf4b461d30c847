//! What lies in one of the streams, as an entry of the audit log.

use chrono::{DateTime, Utc};
use flexgate_projections::{AuditCursor, AuditFilter};
use flexgate_schemas::{
    AdminEvent, Provenance,
    audit::Change,
    commit::{Actor, Recorded, Source},
};

use super::super::told::{Changed, Log, Metadata, Origin};

/// The most changes of one commit that are told.
const CHANGES_MAX: usize = 100;

/// What was done, or what was not.
pub(super) enum Found {
    Commit(Recorded),
    /// When its stream was created, and its sequence.
    Event(DateTime<Utc>, u64, Box<AdminEvent>),
}

impl Found {
    pub(super) fn sequence(&self) -> u64 {
        match self {
            Self::Commit(recorded) => recorded.revision,
            Self::Event(_, sequence, _) => *sequence,
        }
    }

    /// Its place among the entries.
    pub(super) fn place(&self) -> AuditCursor {
        match self {
            Self::Commit(recorded) => {
                let commit = &recorded.commit;
                AuditCursor::of_commit(commit.at.into(), commit.generation, recorded.revision)
            }
            Self::Event(created, sequence, event) => {
                AuditCursor::of_event(event.at.into(), *created, *sequence)
            }
        }
    }

    pub(super) fn matches(&self, filter: &AuditFilter) -> bool {
        let is = |asked: &Option<String>, told: Option<&str>| {
            asked.as_deref().is_none_or(|asked| Some(asked) == told)
        };
        let at = self.place().at();
        let from = self.provenance();
        is(&filter.actor, self.actor().map(|actor| &*actor.id))
            && is(&filter.source, Some(self.source().kind()))
            && is(
                &filter.correlation,
                from.and_then(|from| from.correlation_id.as_deref()),
            )
            && filter
                .address
                .is_none_or(|asked| from.and_then(|from| from.address) == Some(asked))
            && self.is_about(filter)
            && filter.revision.is_none_or(|asked| self.revision() == Some(asked))
            && filter.since.is_none_or(|since| at >= since)
            && filter.until.is_none_or(|until| at < until)
            && filter.text.as_deref().is_none_or(|text| self.says(text))
    }

    fn is_about(&self, filter: &AuditFilter) -> bool {
        if filter.kind.is_none() && filter.entity.is_none() {
            return true;
        }
        let Self::Commit(recorded) = self else {
            return false;
        };
        let mut changes = recorded.commit.events.iter().filter_map(Change::of);
        changes.any(|Change { entity, .. }| {
            filter.kind.as_deref().is_none_or(|asked| asked == entity.kind())
                && filter.entity.as_deref().is_none_or(|asked| asked == entity.id())
        })
    }

    fn says(&self, text: &str) -> bool {
        let message = self.message();
        let texts = [
            Some(&*message),
            self.actor().map(|actor| &*actor.id),
            self.source().file(),
            self.reason(),
            self.provenance().and_then(|from| from.agent.as_deref()),
        ];
        let all = texts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        all.to_lowercase().contains(&text.to_lowercase())
    }

    pub(super) fn told(&self) -> Log {
        let (stream, level, code, call, changes, commit) = match self {
            Self::Commit(recorded) => {
                let commit = &recorded.commit;
                let changes: Vec<_> = commit.events.iter().filter_map(Change::of).collect();
                ("CONFIG", "info", None, None, changes, Some(commit.id.to_string()))
            }
            Self::Event(.., event) => {
                let deed = &event.deed;
                ("ADMIN", deed.level(), deed.code(), deed.call(), Vec::new(), None)
            }
        };
        let actor = self.actor();
        Log {
            id: format!("{stream}-{}", self.sequence()),
            timestamp: self.place().at().into(),
            level: level.to_owned(),
            message: self.message(),
            metadata: Metadata {
                actor: actor.map(|actor| actor.id.to_string()),
                actor_type: actor.map(|actor| actor.kind.as_str().to_owned()),
                source: self.source().kind().to_owned(),
                file: self.source().file().map(str::to_owned),
                reason: self.reason().map(str::to_owned),
                revision: self.revision().and_then(|revision| revision.try_into().ok()),
                commit,
                from: self.provenance().map(Origin::of).unwrap_or_default(),
                method: call.map(|call| call.method.to_string()),
                path: call.map(|call| call.path.to_string()),
                status: call.map(|call| call.status.into()),
                code: code.map(str::to_owned),
                times: call.and_then(|call| call.times.try_into().ok()),
                changes_total: i64::try_from(changes.len()).unwrap_or(i64::MAX),
                changes: changes.into_iter().take(CHANGES_MAX).map(Changed::from).collect(),
            },
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Commit(recorded) => recorded.commit.message(),
            Self::Event(.., event) => event.deed.to_string(),
        }
    }

    fn actor(&self) -> Option<&Actor> {
        match self {
            Self::Commit(recorded) => Some(&recorded.commit.actor),
            Self::Event(.., event) => event.actor.as_ref(),
        }
    }

    fn source(&self) -> &Source {
        match self {
            Self::Commit(recorded) => &recorded.commit.source,
            Self::Event(.., event) => &event.source,
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Commit(recorded) => recorded.commit.reason.as_deref(),
            Self::Event(..) => None,
        }
    }

    fn provenance(&self) -> Option<&Provenance> {
        match self {
            Self::Commit(recorded) => recorded.commit.provenance.as_deref(),
            Self::Event(.., event) => Some(&event.provenance),
        }
    }

    fn revision(&self) -> Option<u64> {
        match self {
            Self::Commit(recorded) => Some(recorded.revision),
            Self::Event(..) => None,
        }
    }
}

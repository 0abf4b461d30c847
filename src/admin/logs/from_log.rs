//! The audit log from the log itself, for when the tables do not answer.

use flexgate_projections::{AuditCursor, AuditFilter};
use flexgate_schemas::{Provenance, audit::Change, commit::Recorded};

use super::{
    super::{Shared, error::Error, past},
    Changed, Log, Metadata, Origin, Range, Told,
};

/// How many commits are read at once.
const WINDOW: u64 = 500;
/// How many are looked at for one page. The next page goes on where this one has come to.
const LOOKED_AT_MAX: u64 = 10_000;
/// The most changes of one commit that are told.
const CHANGES_MAX: usize = 100;

/// The newest that match, without those of earlier pages.
pub(super) async fn page(admin: &Shared, filter: &AuditFilter, range: &Range) -> Result<Told, Error> {
    let mut last = match &range.after {
        Some(cursor) => cursor.revision_before(),
        None => admin.journal.view().revision(),
    };
    let (mut skip, mut logs, mut next) = (range.offset(), Vec::new(), None);
    let least = last.saturating_sub(LOOKED_AT_MAX);
    while last > least && logs.len() < range.size.into() {
        let first = last.saturating_sub(WINDOW).max(least);
        let mut window = Vec::new();
        let mut commits = past::commits(admin, first, last).await?;
        while let Some(recorded) = commits.next().await? {
            window.push(recorded);
        }
        for recorded in window.iter().rev() {
            next = Some(cursor(recorded));
            if !matches(filter, recorded) {
                continue;
            }
            if skip > 0 {
                skip -= 1;
                continue;
            }
            logs.push(told(recorded));
            if logs.len() == usize::from(range.size) {
                break;
            }
        }
        last = first;
    }
    Ok(Told {
        logs,
        total: None,
        page: range.page,
        page_size: range.size,
        read_from: "log",
        next: next.filter(|next| next.revision_before() > 0),
    })
}

fn cursor(recorded: &Recorded) -> AuditCursor {
    AuditCursor::of_commit(
        recorded.commit.at.into(),
        recorded.commit.generation,
        recorded.revision,
    )
}

fn matches(filter: &AuditFilter, recorded: &Recorded) -> bool {
    let commit = &recorded.commit;
    let about = |event| {
        Change::of(event).is_some_and(|change| {
            filter
                .kind
                .as_deref()
                .is_none_or(|asked| asked == change.entity.kind())
                && filter
                    .entity
                    .as_deref()
                    .is_none_or(|asked| asked == change.entity.id())
        })
    };
    let from = commit.provenance.as_deref();
    let says = |text: &String| {
        let message = commit.message();
        let texts = [
            Some(&*message),
            Some(&*commit.actor.id),
            commit.source.file(),
            commit.reason.as_deref(),
            from.and_then(|from| from.agent.as_deref()),
        ];
        let all = texts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        all.to_lowercase().contains(&text.to_lowercase())
    };
    filter
        .actor
        .as_deref()
        .is_none_or(|asked| asked == &*commit.actor.id)
        && filter
            .source
            .as_deref()
            .is_none_or(|asked| asked == commit.source.kind())
        && (filter.kind.is_none() && filter.entity.is_none() || commit.events.iter().any(about))
        && filter.revision.is_none_or(|asked| asked == recorded.revision)
        && filter.since.is_none_or(|since| commit.at >= since.into())
        && filter.until.is_none_or(|until| commit.at < until.into())
        && filter.text.as_ref().is_none_or(says)
        && filter
            .correlation
            .as_deref()
            .is_none_or(|asked| from.is_some_and(|from| from.correlation_id.as_deref() == Some(asked)))
        && filter
            .address
            .is_none_or(|asked| from.is_some_and(|from| from.address == Some(asked)))
}

fn told(recorded: &Recorded) -> Log {
    let commit = &recorded.commit;
    let changes: Vec<_> = commit.events.iter().filter_map(Change::of).collect();
    Log {
        id: format!("CONFIG-{}", recorded.revision),
        timestamp: commit.at,
        level: "info".to_owned(),
        message: commit.message(),
        metadata: Metadata {
            actor: Some(commit.actor.id.to_string()),
            actor_type: Some(commit.actor.kind.as_str().to_owned()),
            source: commit.source.kind().to_owned(),
            file: commit.source.file().map(str::to_owned),
            reason: commit.reason.as_deref().map(str::to_owned),
            revision: i64::try_from(recorded.revision).ok(),
            commit: Some(commit.id.to_string()),
            from: commit.provenance.as_deref().map(Origin::of).unwrap_or_default(),
            changes_total: i64::try_from(changes.len()).unwrap_or(i64::MAX),
            changes: changes.into_iter().take(CHANGES_MAX).map(Changed::from).collect(),
        },
    }
}

impl Origin {
    fn of(provenance: &Provenance) -> Self {
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

//! The audit log from the streams themselves, for when the tables do not answer: CONFIG has what was done, ADMIN what was
//! not. Both are read backwards, and told in one order.

mod found;
mod tail;

use flexgate_projections::{AuditCursor, AuditFilter};

use self::tail::Tail;
use super::{
    super::{Shared, error::Error},
    Range,
    told::Told,
};

/// How many entries are looked at for one page. The next page goes on where this one has come to.
const LOOKED_AT_MAX: usize = 10_000;

/// The newest that match, without those of earlier pages.
pub(super) async fn page(admin: &Shared, filter: &AuditFilter, range: &Range) -> Result<Told, Error> {
    let after = range.after.as_ref();
    let mut commits = Tail::of_commits(admin, after);
    let mut events = Tail::of_events(admin, after).await?;
    // After a page of the tables it is not known up to where both streams were told, but by the order of what they have.
    let told_before = after.filter(|after| after.rest().is_none());
    let (mut skip, mut logs, mut next) = (range.offset(), Vec::new(), None);
    for _ in 0..LOOKED_AT_MAX {
        if logs.len() == usize::from(range.size) {
            break;
        }
        let (commit, event) = (commits.newest().await?, events.newest().await?);
        let is_commit = commit.as_ref().map(AuditCursor::key) > event.as_ref().map(AuditCursor::key);
        let (from, other) = if is_commit {
            (&mut commits, &events)
        } else {
            (&mut events, &commits)
        };
        let Some(found) = from.take() else {
            next = None;
            break;
        };
        let place = found.place();
        let is_told = told_before.is_some_and(|before| place.key() >= before.key());
        next = Some(place.with_rest(other.rest()));
        if is_told || !found.matches(filter) {
            continue;
        }
        if skip > 0 {
            skip -= 1;
            continue;
        }
        logs.push(found.told());
    }
    Ok(Told {
        logs,
        total: None,
        page: range.page,
        page_size: range.size,
        read_from: "log",
        next,
    })
}

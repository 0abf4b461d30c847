//! Pages of the audit log, the newest first.

use std::{fmt, net::IpAddr, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{FromRow, Row as _, postgres::PgRow, types::Json};

use super::Tables;
use crate::{Error, checkpoint::bigint};

pub(super) const STATEMENTS: [&str; 2] = [PAGE, TOTAL];

/// The most changes of one commit that a page tells; the table has all of them.
const CHANGES_MAX: i64 = 100;

/// Which entries. What is null does not matter.
macro_rules! matching {
    () => {
        "
        ($1::text IS NULL OR l.actor = $1)
        AND ($2::text IS NULL OR l.source = $2)
        AND ($3::text IS NULL AND $4::text IS NULL OR EXISTS (
            SELECT FROM flexgate.audit_changes c
            WHERE l.stream = 'CONFIG' AND c.history = l.history AND c.revision = l.sequence
                AND ($3 IS NULL OR c.kind = $3) AND ($4 IS NULL OR c.entity = $4)))
        AND ($5::bigint IS NULL OR l.revision = $5)
        AND ($6::timestamptz IS NULL OR l.at >= $6)
        AND ($7::timestamptz IS NULL OR l.at < $7)
        AND ($8::text IS NULL OR strpos(lower(concat_ws(' ', l.message, l.actor, l.file, l.reason, l.agent)), lower($8)) > 0)
        AND ($9::text IS NULL OR l.correlation = $9)
        AND ($10::text IS NULL OR l.address = $10::inet)"
    };
}

const TOTAL: &str = concat!("SELECT count(*) FROM flexgate.audit_log l WHERE ", matching!());

const PAGE: &str = concat!(
    "
    SELECT l.stream, l.history, l.sequence, l.id, l.at, l.level, l.message, l.actor_type, l.actor, l.source, l.file,
        l.reason, l.revision, l.commit_id, l.correlation, l.trace, host(l.address) AS address, l.agent, l.method, l.path, l.status, l.code, l.times, c.total, c.changes
    FROM flexgate.audit_log l, LATERAL (
        SELECT count(*) AS total, coalesce(jsonb_agg(jsonb_build_object(
            'kind', kind, 'id', entity, 'action', action, 'before', before, 'after', after) ORDER BY ordinal)
            FILTER (WHERE place <= $17), '[]') AS changes
        FROM (
            SELECT *, row_number() OVER (ORDER BY ordinal) AS place FROM flexgate.audit_changes
            WHERE l.stream = 'CONFIG' AND history = l.history AND revision = l.sequence
        ) told
    ) c
    WHERE ",
    matching!(),
    "
        AND ($11::timestamptz IS NULL OR (l.at, l.stream, l.history, l.sequence) < ($11, $12::text, $13::bigint, $14::bigint))
    ORDER BY l.at DESC, l.stream DESC, l.history DESC, l.sequence DESC
    LIMIT $15 OFFSET $16"
);

/// Which entries of the audit log. The default is all of them.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// By whom.
    pub actor: Option<String>,
    /// Through what: `api`, `file` or `system`.
    pub source: Option<String>,
    /// About what: `route`, `upstream`, `settings` or `key`.
    pub kind: Option<String>,
    /// About which: an id or a name.
    pub entity: Option<String>,
    /// The one that made this revision.
    pub revision: Option<u64>,
    /// Not before.
    pub since: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
    /// With this in message, actor, file, reason or agent, in whatever case.
    pub text: Option<String>,
    /// By the request that is called so.
    pub correlation: Option<String>,
    /// From there.
    pub address: Option<IpAddr>,
}

/// A part of the audit log.
#[derive(Debug)]
pub struct AuditPage {
    /// Its entries, the newest first.
    pub entries: Vec<AuditEntry>,
    /// How many there are on all pages together.
    pub total: u64,
}

/// What was done once.
#[derive(Debug)]
pub struct AuditEntry {
    stream: String,
    history: i64,
    sequence: i64,
    /// Stream and sequence.
    pub id: String,
    /// When.
    pub at: DateTime<Utc>,
    /// How much it matters.
    pub level: String,
    /// What, in a sentence.
    pub message: String,
    /// How they proved who they are.
    pub actor_type: Option<String>,
    /// Who.
    pub actor: Option<String>,
    /// Through what.
    pub source: String,
    /// The configuration file that it came from.
    pub file: Option<String>,
    /// Why, if they said.
    pub reason: Option<String>,
    /// The revision that it made.
    pub revision: Option<i64>,
    /// The id of the commit, or of the event.
    pub commit_id: Option<String>,
    /// What the request is called that asked for it.
    pub correlation: Option<String>,
    /// The id of the trace that it belongs to.
    pub trace: Option<String>,
    /// From where it came.
    pub address: Option<String>,
    /// The program that sent it, as it calls itself.
    pub agent: Option<String>,
    /// The method of a request that was refused.
    pub method: Option<String>,
    /// Its path.
    pub path: Option<String>,
    /// The status of the answer.
    pub status: Option<i32>,
    /// Why it was not done.
    pub code: Option<String>,
    /// How many requests this stands for.
    pub times: Option<i64>,
    /// How many changes it made.
    pub total: i64,
    /// The first of them.
    pub changes: Vec<AuditChange>,
}

/// What became of one entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditChange {
    /// What it is: `route`, `upstream`, `settings` or `key`.
    pub kind: String,
    /// Which.
    pub id: String,
    /// `created`, `updated` or `deleted`.
    pub action: String,
    /// All of it before.
    pub before: Option<Value>,
    /// All of it afterwards.
    pub after: Option<Value>,
}

/// Where a page ended. Written as `<microseconds>.<stream>.<history>.<sequence>`, and `.<rest>` if that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditCursor {
    at: DateTime<Utc>,
    stream: String,
    history: i64,
    sequence: i64,
    /// Where the streams are read: the last sequence of the other one that comes after it.
    rest: Option<u64>,
}

impl FromRow<'_, PgRow> for AuditEntry {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let Json(changes) = row.try_get("changes")?;
        Ok(Self {
            stream: row.try_get("stream")?,
            history: row.try_get("history")?,
            sequence: row.try_get("sequence")?,
            id: row.try_get("id")?,
            at: row.try_get("at")?,
            level: row.try_get("level")?,
            message: row.try_get("message")?,
            actor_type: row.try_get("actor_type")?,
            actor: row.try_get("actor")?,
            source: row.try_get("source")?,
            file: row.try_get("file")?,
            reason: row.try_get("reason")?,
            revision: row.try_get("revision")?,
            commit_id: row.try_get("commit_id")?,
            correlation: row.try_get("correlation")?,
            trace: row.try_get("trace")?,
            address: row.try_get("address")?,
            agent: row.try_get("agent")?,
            method: row.try_get("method")?,
            path: row.try_get("path")?,
            status: row.try_get("status")?,
            code: row.try_get("code")?,
            times: row.try_get("times")?,
            total: row.try_get("total")?,
            changes,
        })
    }
}

impl AuditEntry {
    /// Where the next page begins, if this is the last entry of one.
    pub fn cursor(&self) -> AuditCursor {
        AuditCursor {
            at: self.at,
            stream: self.stream.clone(),
            history: self.history,
            sequence: self.sequence,
            rest: None,
        }
    }
}

impl AuditCursor {
    /// At a commit of the log.
    pub fn of_commit(at: DateTime<Utc>, generation: u64, revision: u64) -> Self {
        Self {
            at,
            stream: "CONFIG".to_owned(),
            history: generation.cast_signed(),
            sequence: revision.cast_signed(),
            rest: None,
        }
    }

    /// At an event of ADMIN, which was created then.
    pub fn of_event(at: DateTime<Utc>, created: DateTime<Utc>, sequence: u64) -> Self {
        Self {
            at,
            stream: "ADMIN".to_owned(),
            history: created.timestamp_micros(),
            sequence: sequence.cast_signed(),
            rest: None,
        }
    }

    /// When that happened.
    pub fn at(&self) -> DateTime<Utc> {
        self.at
    }

    /// What entries are in the order of.
    pub fn key(&self) -> (DateTime<Utc>, &str, i64, i64) {
        (self.at, &self.stream, self.history, self.sequence)
    }

    /// The same place, with the last sequence of the other stream that comes after it.
    #[must_use]
    pub fn with_rest(self, rest: u64) -> Self {
        let rest = Some(rest);
        Self { rest, ..self }
    }

    /// The last sequence of the other stream that comes after it, if that is known.
    pub fn rest(&self) -> Option<u64> {
        self.rest
    }

    /// The last sequence of a stream that comes on the next page at the earliest, if that is known.
    pub fn next_of(&self, stream: &str) -> Option<u64> {
        if self.stream == stream {
            Some(self.sequence.saturating_sub(1).max(0).unsigned_abs())
        } else {
            self.rest
        }
    }
}

impl fmt::Display for AuditCursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.at.timestamp_micros();
        write!(out, "{micros}.{}.{}.{}", self.stream, self.history, self.sequence)?;
        self.rest.map_or(Ok(()), |rest| write!(out, ".{rest}"))
    }
}

impl FromStr for AuditCursor {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let read = || {
            let mut parts = text.split('.');
            let cursor = Self {
                at: DateTime::from_timestamp_micros(parts.next()?.parse().ok()?)?,
                stream: parts.next()?.to_owned(),
                history: parts.next()?.parse().ok()?,
                sequence: parts.next()?.parse().ok()?,
                rest: parts
                    .next()
                    .map(|rest| rest.parse().ok())
                    .map_or(Some(None), |rest| rest.map(Some))?,
            };
            parts.next().is_none().then_some(cursor)
        };
        read().ok_or("a cursor is taken from the `Link` of the page before")
    }
}

impl Tables {
    /// So many entries of the audit log after a place in it, without so many.
    pub async fn audit_log(
        &self,
        filter: &AuditFilter,
        after: Option<&AuditCursor>,
        (limit, offset): (u32, u64),
    ) -> Result<AuditPage, Error> {
        let revision = filter.revision.map(bigint).transpose()?;
        // One place, so that both statements get the same.
        macro_rules! filtered {
            ($query:expr) => {
                $query
                    .bind(&filter.actor)
                    .bind(&filter.source)
                    .bind(&filter.kind)
                    .bind(&filter.entity)
                    .bind(revision)
                    .bind(filter.since)
                    .bind(filter.until)
                    .bind(&filter.text)
                    .bind(&filter.correlation)
                    .bind(filter.address.map(|address| address.to_string()))
            };
        }
        // As of one moment: the page, and how many there are.
        let mut transaction = self
            .pool
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ")
            .await?;
        let entries = filtered!(sqlx::query_as(PAGE))
            .bind(after.map(|cursor| cursor.at))
            .bind(after.map(|cursor| &cursor.stream))
            .bind(after.map(|cursor| cursor.history))
            .bind(after.map(|cursor| cursor.sequence))
            .bind(i64::from(limit))
            .bind(bigint(offset)?)
            .bind(CHANGES_MAX)
            .fetch_all(&mut *transaction)
            .await?;
        let total: i64 = filtered!(sqlx::query_scalar(TOTAL))
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(AuditPage {
            entries,
            total: total.unsigned_abs(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is_one() {
        for text in ["1767225600000000.CONFIG.1.42", "-1.ADMIN.0.1", "5.ADMIN.7.1.42"] {
            assert_eq!(text.parse::<AuditCursor>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "1",
            "1.CONFIG.1",
            "1.CONFIG.1.42.",
            "1.CONFIG.1.42.5.6",
            "x.CONFIG.1.42",
            "1.CONFIG.1.99999999999999999999",
        ] {
            assert!(text.parse::<AuditCursor>().is_err(), "{text}");
        }
    }
}

//! `/api/logs`: who did what, and who was refused, the newest first. From the tables; from the streams themselves while those do not answer, or have not
//! come as far as the caller has seen.

mod from_log;

use std::net::IpAddr;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use flexgate_projections::{AuditChange, AuditCursor, AuditEntry, AuditFilter};
use flexgate_schemas::Timestamp;
use http::{HeaderMap, HeaderValue, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Shared,
    error::Error,
    operation::{Operation, Resource},
    page,
    params::Query,
    read::{self, REVISION, REVISION_WITHIN},
};

const PATH: &str = "/api/logs";
/// How many entries a page has unless the caller says.
const PAGE_SIZE: u16 = 10;
/// The most that it has.
const PAGE_SIZE_MAX: u16 = 200;

/// What can be asked of the past.
pub(super) fn resources() -> [Resource<Shared>; 1] {
    [Resource::at(PATH, "Audit log").get(
        list,
        Operation::new("listLogs", "Who did what, and who was refused, the newest first")
            .details(
                "Pages by `page`, or, so that nothing is missed while more is done, by the `Link` to the next one. From the \
                 tables in PostgreSQL; while those do not answer from the log itself, which knows neither how many entries \
                 there are nor what an entity was before.",
            )
            .query::<Asked>()
            .headers(&["FlexGate-Min-Revision"])
            .answers::<Told>(200, "A page of the audit log.")
            .with(&["FlexGate-Revision", "Link"]),
    )]
}

/// Which entries.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Asked {
    /// The page, from 1.
    page: Option<u32>,
    /// How many entries a page has: 10 unless said, 200 at most.
    page_size: Option<u16>,
    /// Where the page begins: taken from the `Link` of the page before. Instead of `page`.
    cursor: Option<String>,
    /// By whom: the name of a token, or of a process.
    actor: Option<String>,
    /// Through what.
    source: Option<Through>,
    /// About what.
    kind: Option<Kind>,
    /// About which: an id or a name.
    entity: Option<String>,
    /// The one that made this revision.
    revision: Option<u64>,
    /// Not before.
    since: Option<Timestamp>,
    /// Before.
    until: Option<Timestamp>,
    /// With this text in message, actor, file, reason or agent, in whatever case.
    text: Option<String>,
    /// By the request with this correlation id.
    correlation: Option<String>,
    /// From this address.
    address: Option<IpAddr>,
}

/// Through what something came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Through {
    Api,
    File,
    System,
}

/// What something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Route,
    Upstream,
    Settings,
    Key,
}

/// A page.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AuditLog")]
struct Told {
    /// The newest first.
    logs: Vec<Log>,
    /// How many there are on all pages; absent where the log itself was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// Which page it is; of one that a cursor has led to 1.
    page: u32,
    /// The most entries of a page.
    page_size: u16,
    /// `tables`, or `log` while those do not answer.
    read_from: &'static str,
    /// Where the next page begins, if there may be one.
    #[serde(skip)]
    next: Option<AuditCursor>,
}

/// What was done once.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
struct Log {
    /// Stream and sequence: the same however often the tables are made anew.
    id: String,
    /// When.
    timestamp: Timestamp,
    /// How much it matters.
    level: String,
    /// What, in a sentence.
    message: String,
    /// All of it.
    metadata: Metadata,
}

/// All that is known of it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AuditMetadata")]
struct Metadata {
    /// Who: the name of a token, or of a process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    /// How they proved who they are: `token`, or `system` for what FlexGate does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor_type: Option<String>,
    /// Through what: `api`, `file` or `system`.
    source: String,
    /// The configuration file that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// Why, if they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The revision that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
    /// The id of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    /// From where, and by which request, if that is known.
    #[serde(flatten)]
    from: Origin,
    /// The method of a request that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// Its path, without the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// The status that it was answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<i32>,
    /// Why it was not done, in one word for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// How many requests this stands for: from one address that does not prove who sends them, the first ten of a minute are
    /// told one by one, and the others together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<i64>,
    /// How many changes it made.
    changes_total: i64,
    /// The first 100 of them.
    changes: Vec<Changed>,
}

/// From where something was asked for, and by which request.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AuditOrigin")]
struct Origin {
    /// The correlation id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation: Option<String>,
    /// The id of the trace that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    /// Who sent it, as far as trusted proxies can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// The program that sent it, as it calls itself: `flexgate-cli/0.1.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
}

/// What became of one entity.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditChange")]
struct Changed {
    /// What it is: `route`, `upstream`, `settings` or `key`.
    kind: String,
    /// Which.
    id: String,
    /// `created`, `updated` or `deleted`.
    action: String,
    /// All of it before, if it was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Value>,
    /// All of it afterwards, if it is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<Value>,
}

async fn list(
    State(admin): State<Shared>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let least = read::reached(&headers, &admin).await?;
    let range = Range::of(&asked)?;
    let filter = asked.filter();
    let page = match from_tables(&admin, &filter, &range, least).await {
        Some(page) => page,
        None => from_log::page(&admin, &filter, &range).await?,
    };
    let link = page.next.as_ref().map(|cursor| asked.link(range.size, cursor));
    let mut response = Json(page).into_response();
    let headers = response.headers_mut();
    headers.extend(link.map(|link| (header::LINK, link)));
    headers.insert(REVISION, HeaderValue::from(admin.journal.view().revision()));
    Ok(response)
}

/// Which part of what there is.
struct Range {
    page: u32,
    size: u16,
    after: Option<AuditCursor>,
}

impl Range {
    fn of(asked: &Asked) -> Result<Self, Error> {
        let bad = |why: String| Err(Error::Query(why));
        let size = asked.page_size.unwrap_or(PAGE_SIZE);
        if !(1..=PAGE_SIZE_MAX).contains(&size) {
            return bad(format!("`pageSize` is 1 to {PAGE_SIZE_MAX}"));
        }
        let page = asked.page.unwrap_or(1);
        if page == 0 {
            return bad("`page` begins with 1".to_owned());
        }
        if asked.cursor.is_some() && asked.page.is_some() {
            return bad("send `page` or `cursor`, not both".to_owned());
        }
        let after = asked.cursor.as_deref().map(str::parse).transpose();
        let after = after.map_err(|why| Error::Query(format!("`cursor`: {why}")))?;
        Ok(Self { page, size, after })
    }

    /// How many entries come before it.
    fn offset(&self) -> u64 {
        u64::from(self.page - 1) * u64::from(self.size)
    }
}

impl Asked {
    fn filter(&self) -> AuditFilter {
        AuditFilter {
            actor: self.actor.clone(),
            source: self.source.map(|source| source.as_str().to_owned()),
            kind: self.kind.map(|kind| kind.as_str().to_owned()),
            entity: self.entity.clone(),
            revision: self.revision,
            since: self.since.map(Into::into),
            until: self.until.map(Into::into),
            text: self.text.clone(),
            correlation: self.correlation.clone(),
            address: self.address,
        }
    }

    /// The value of `Link`: the same question, from there on.
    fn link(&self, size: u16, cursor: &AuditCursor) -> HeaderValue {
        let next = Self {
            page: None,
            page_size: Some(size),
            cursor: Some(cursor.to_string()),
            ..self.clone()
        };
        page::link_to(PATH, &next)
    }
}

impl Through {
    fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::File => "file",
            Self::System => "system",
        }
    }
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Upstream => "upstream",
            Self::Settings => "settings",
            Self::Key => "key",
        }
    }
}

/// From the tables, unless they do not answer or are behind.
async fn from_tables(
    admin: &Shared,
    filter: &AuditFilter,
    range: &Range,
    least: Option<u64>,
) -> Option<Told> {
    let tables = admin.tables.as_ref()?;
    let reading = async {
        if let Some(least) = least
            && tables.reach(least, REVISION_WITHIN).await?.is_err()
        {
            return Ok(None);
        }
        let part = (u32::from(range.size), range.offset());
        tables
            .audit_log(filter, range.after.as_ref(), part)
            .await
            .map(Some)
    };
    let read: Result<_, flexgate_projections::Error> = reading.await;
    let found = match read {
        Ok(found) => found?,
        Err(error) => {
            tracing::warn!(%error, "the audit log is read from the log: the tables do not answer");
            return None;
        }
    };
    let is_full = found.entries.len() == usize::from(range.size);
    Some(Told {
        next: found.entries.last().filter(|_| is_full).map(AuditEntry::cursor),
        logs: found.entries.into_iter().map(Log::from).collect(),
        total: Some(found.total),
        page: range.page,
        page_size: range.size,
        read_from: "tables",
    })
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

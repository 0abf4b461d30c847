//! `/api/logs`: who did what, and who was refused, the newest first. From the tables; from the streams themselves while those do not answer, or have not
//! come as far as the caller has seen.

mod from_log;
mod told;

use std::net::IpAddr;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use flexgate_projections::{AuditCursor, AuditEntry, AuditFilter};
use flexgate_schemas::Timestamp;
use http::{HeaderMap, HeaderValue, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::told::{Log, Told};
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

//! Pages of alerts, the newest first.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, Row as _, postgres::PgRow};

use super::Tables;
use crate::Error;

pub(super) const STATEMENTS: [&str; 1] = [PAGE];

/// Which alerts. What is null does not matter.
const PAGE: &str = "
    SELECT id, occurrence, at, type, severity, node, subject, data FROM flexgate.alerts
    WHERE ($1::text IS NULL OR type = $1)
        AND ($2::text IS NULL OR severity = $2)
        AND ($3::text IS NULL OR node = $3)
        AND ($4::text IS NULL OR subject = $4)
        AND ($5::timestamptz IS NULL OR at >= $5)
        AND ($6::timestamptz IS NULL OR at < $6)
        AND ($7::timestamptz IS NULL OR (at, occurrence) < ($7, $8::text))
    ORDER BY at DESC, occurrence DESC
    LIMIT $9";

/// Which alerts. The default is all of them.
#[derive(Debug, Clone, Default)]
pub struct AlertFilter {
    /// Of this type, such as `node.lost`.
    pub type_name: Option<String>,
    /// That matter as much: `info`, `warning` or `critical`.
    pub severity: Option<String>,
    /// Raised by this node.
    pub node: Option<String>,
    /// About this: a node, a file or a projection.
    pub subject: Option<String>,
    /// Not before.
    pub since: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
}

/// An alert.
#[derive(Debug)]
pub struct AlertEntry {
    /// Stream and sequence.
    pub id: String,
    /// What happened: the same wherever it was told.
    pub occurrence: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Its type.
    pub type_name: String,
    /// How much it matters, if that is known.
    pub severity: Option<String>,
    /// Who raised it.
    pub node: String,
    /// What it is about.
    pub subject: String,
    /// All that it says.
    pub data: Value,
}

/// Where a page ended. Written as `<microseconds>.<occurrence>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertCursor {
    at: DateTime<Utc>,
    occurrence: String,
}

impl FromRow<'_, PgRow> for AlertEntry {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            occurrence: row.try_get("occurrence")?,
            at: row.try_get("at")?,
            type_name: row.try_get("type")?,
            severity: row.try_get("severity")?,
            node: row.try_get("node")?,
            subject: row.try_get("subject")?,
            data: row.try_get("data")?,
        })
    }
}

impl AlertEntry {
    /// Where the next page begins, if this is the last entry of one.
    pub fn cursor(&self) -> AlertCursor {
        AlertCursor {
            at: self.at,
            occurrence: self.occurrence.clone(),
        }
    }
}

impl fmt::Display for AlertCursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.at.timestamp_micros(), self.occurrence)
    }
}

impl FromStr for AlertCursor {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let read = || {
            let (micros, occurrence) = text.split_once('.')?;
            Some(Self {
                at: DateTime::from_timestamp_micros(micros.parse().ok()?)?,
                occurrence: occurrence.to_owned(),
            })
        };
        read().ok_or("a cursor is taken from the `Link` of the page before")
    }
}

impl Tables {
    /// At most so many alerts, after a place among them.
    pub async fn alerts(
        &self,
        filter: &AlertFilter,
        after: Option<&AlertCursor>,
        limit: u16,
    ) -> Result<Vec<AlertEntry>, Error> {
        let found = sqlx::query_as(PAGE)
            .bind(&filter.type_name)
            .bind(&filter.severity)
            .bind(&filter.node)
            .bind(&filter.subject)
            .bind(filter.since)
            .bind(filter.until)
            .bind(after.map(|cursor| cursor.at))
            .bind(after.map(|cursor| &cursor.occurrence))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        Ok(found)
    }
}

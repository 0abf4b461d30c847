//! `/api/alerts`: what somebody should hear of, the newest first. From the tables alone.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use flexgate_projections::{AlertEntry, AlertFilter};
use flexgate_schemas::{Timestamp, alert::Severity};
use http::{HeaderValue, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Shared,
    error::Error,
    operation::{Operation, Resource},
    page::{self, Window},
    params::Query,
    read,
};

const PATH: &str = "/api/alerts";

/// What can be asked.
pub(super) fn resources() -> [Resource<Shared>; 1] {
    [Resource::at(PATH, "Alerts").get(
        list,
        Operation::new("listAlerts", "What somebody should hear of, the newest first")
            .details(
                "From the tables in PostgreSQL, which keep what the stream ALERTS lets go of. Nodes that come and go are \
                 among them.",
            )
            .query::<Asked>()
            .answers::<Vec<Told>>(200, "A page of alerts.")
            .with(&["Link"]),
    )]
}

/// Which alerts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asked {
    /// The type, such as `node.lost`.
    #[serde(default, rename = "type")]
    type_name: Option<String>,
    /// How much they matter.
    #[serde(default)]
    severity: Option<Severity>,
    /// The node that raised them.
    #[serde(default)]
    node: Option<String>,
    /// What they are about: a node, a file or a projection.
    #[serde(default)]
    subject: Option<String>,
    /// Not before.
    #[serde(default)]
    since: Option<Timestamp>,
    /// Before.
    #[serde(default)]
    until: Option<Timestamp>,
    /// The most alerts to answer with: 50 unless said, 500 at most.
    #[serde(default)]
    limit: Option<u16>,
    /// Where the page begins: taken from the `Link` of the page before.
    #[serde(default)]
    cursor: Option<String>,
}

/// An alert.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AlertEntry")]
struct Told {
    /// Stream and sequence: the same however often the tables are made anew.
    id: String,
    /// What happened: the same wherever and however often it was told.
    occurrence: String,
    /// When.
    timestamp: Timestamp,
    /// What happened: `node.lost`, `projection.stopped`, and so on.
    #[serde(rename = "type")]
    type_name: String,
    /// How much it matters: `info`, `warning` or `critical`; absent of a type that the projector did not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    severity: Option<String>,
    /// The node that raised it.
    node: String,
    /// What it is about; the node that raised it, where it says nothing else.
    subject: String,
    /// All that it says; what there is depends on the type.
    data: Value,
}

async fn list(State(admin): State<Shared>, Query(asked): Query<Asked>) -> Result<Response, Error> {
    let window = Window::of(asked.limit, asked.cursor.as_deref())?;
    let filter = AlertFilter {
        type_name: asked.type_name.clone(),
        severity: asked.severity.map(|severity| severity.as_str().to_owned()),
        node: asked.node.clone(),
        subject: asked.subject.clone(),
        since: asked.since.map(Into::into),
        until: asked.until.map(Into::into),
    };
    let found = read::tables(&admin)?
        .alerts(&filter, window.after.as_ref(), window.limit)
        .await
        .map_err(|error| Error::of_tables(&error))?;
    let link = window.next(&found).map(|last| asked.link(window.limit, last));
    let told: Vec<_> = found.into_iter().map(Told::from).collect();
    Ok((link.map(|link| [(header::LINK, link)]), Json(told)).into_response())
}

impl Asked {
    /// The value of `Link`: the same question, from there on.
    fn link(&self, limit: u16, last: &AlertEntry) -> HeaderValue {
        page::link_to(
            PATH,
            &Self {
                limit: Some(limit),
                cursor: Some(last.cursor().to_string()),
                ..self.clone()
            },
        )
    }
}

impl From<AlertEntry> for Told {
    fn from(entry: AlertEntry) -> Self {
        let AlertEntry {
            id,
            occurrence,
            at,
            type_name,
            severity,
            node,
            subject,
            data,
        } = entry;
        Self {
            id,
            occurrence,
            timestamp: at.into(),
            type_name,
            severity,
            node,
            subject,
            data,
        }
    }
}

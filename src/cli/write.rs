//! Changes through the API: how they are sent, and what is said about what came of them.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value};

use super::{
    args::{Data, How},
    client::{AdminClient, Answer, Ask},
    exit::{Exit, Failure},
    output::Output,
};
use crate::config::escape;

/// The target with what `how` adds to it.
pub(super) fn target(path: &str, how: &How) -> String {
    let wait = how.wait.then(|| "wait=nodes".to_owned());
    let reason = how
        .reason
        .as_ref()
        .map(|reason| format!("reason={}", escape(reason)));
    let query: Vec<_> = wait.into_iter().chain(reason).collect();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", query.join("&"))
    }
}

/// A change of something that exists, as it is now: read first, and refused if it is changed in between. What is asked for is at
/// its path or below.
pub(super) async fn amend(
    client: &AdminClient,
    (method, below): (Method, &str),
    path: &str,
    how: &How,
    patch: Option<&Value>,
) -> Result<Answer, Failure> {
    let current = client.get(path).await?;
    let is_patch = method == Method::PATCH;
    let mut ask = Ask::change(method, target(&format!("{path}{below}"), how));
    if let Some(tag) = current.headers.get(header::ETAG) {
        ask = ask.header(header::IF_MATCH, tag.clone());
    }
    if let Some(patch) = patch {
        ask = ask.json(patch);
        if is_patch {
            let media_type = HeaderValue::from_static("application/merge-patch+json");
            ask = ask.header(header::CONTENT_TYPE, media_type);
        }
    }
    client.ask(ask).await
}

/// A new entity. One that exists with the same value is what was asked for; with another, that is a conflict.
pub(super) async fn create(
    client: &AdminClient,
    path: &str,
    how: &How,
    entity: &Value,
) -> Result<Answer, Failure> {
    client
        .ask(Ask::change(Method::POST, target(path, how)).json(entity))
        .await
}

/// Says what a change came to: the revision, warnings, and who does not serve it yet.
pub(super) fn report(output: &Output, what: &str, answer: &Answer) -> Result<Exit, Failure> {
    let revision = revision(&answer.headers);
    if output.is_data() {
        output.data(&with_revision(answer, revision))?;
    } else {
        output.line(&match revision {
            Some(revision) => format!("{what} (revision {revision})"),
            None => what.to_owned(),
        })?;
    }
    for warning in answer
        .body
        .get("warnings")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        output.warning(warning.get("detail").and_then(Value::as_str).unwrap_or_default());
    }
    if answer.status != StatusCode::ACCEPTED {
        return Ok(Exit::Done);
    }
    let missing = answer
        .body
        .pointer("/convergence/missing")
        .and_then(Value::as_array);
    let names: Vec<_> = missing.into_iter().flatten().filter_map(Value::as_str).collect();
    Err(Failure::new(
        Exit::Failed,
        format!(
            "the change is made, but not every node serves it: {}",
            names.join(", ")
        ),
    )
    .next("see `flexgate nodes list`; a node that is gone for good: `flexgate nodes forget ID`"))
}

/// A deletion answers without a body, so that the revision is all there is to print.
fn with_revision(answer: &Answer, revision: Option<u64>) -> Value {
    match (&answer.body, revision) {
        (Value::Null, Some(revision)) => serde_json::json!({ "revision": revision }),
        (body, _) => body.clone(),
    }
}

/// The revision that a change became.
pub(super) fn revision(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(HeaderName::from_static("flexgate-revision"))?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The fields that were written as JSON.
pub(super) fn fields(data: &Data) -> Result<Map<String, Value>, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let text = match data.text.as_deref() {
        None => return Ok(Map::new()),
        Some("-") => {
            std::io::read_to_string(std::io::stdin()).map_err(|error| usage(format!("stdin: {error}")))?
        }
        Some(text) => match text.strip_prefix('@') {
            Some(path) => std::fs::read_to_string(path).map_err(|error| usage(format!("{path}: {error}")))?,
            None => text.to_owned(),
        },
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(usage("--data takes a JSON object".to_owned())),
        Err(error) => Err(usage(format!("--data is not JSON: {error}"))),
    }
}

/// Adds a field if it was given.
pub(super) fn set(fields: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value.into());
    }
}

//! `flexgate events`: commits as they happen, and what lies on the streams.

mod stored;

use std::time::Duration;

use futures_util::StreamExt;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;

use super::{
    args::EventVerb,
    client::{AdminClient, Ask},
    entity::cell,
    exit::{Exit, Failure},
    invocation::Invocation,
    output::Output,
    problem,
};

/// The longest event that is read: a commit has at most a message's worth of payload.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Before a stream that broke is asked for again.
const PAUSE: Duration = Duration::from_secs(2);
/// The server sends a comment every 10 s; without one the connection is dead.
const SILENCE_MAX: Duration = Duration::from_secs(30);

pub(super) fn run(run: &Invocation, verb: &EventVerb) -> Result<Exit, Failure> {
    let from = match verb {
        EventVerb::Show(options) => return stored::show(run, options),
        EventVerb::Tail { from } => from,
    };
    run.with_admin(async |client| {
        tokio::select! {
            failed = tail(&client, &run.output, *from) => Err(failed),
            _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
        }
    })
}

/// Prints commits until something is wrong that asking again does not mend.
async fn tail(client: &AdminClient, output: &Output, from: Option<u64>) -> Failure {
    let mut last = match from {
        None => None,
        Some(revision) => match before(client, revision).await {
            Ok(id) => Some(id),
            Err(failure) => return failure,
        },
    };
    loop {
        match follow(client, output, &mut last).await {
            Err(failure) if failure.exit != Exit::Unreachable || last.is_none() => return failure,
            Err(failure) => output.note(&format!("{}; trying again", failure.message)),
            Ok(()) => output.note("the stream ended; trying again"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The id after which a revision comes, in the present history.
async fn before(client: &AdminClient, revision: u64) -> Result<String, Failure> {
    let status = client.get("/api/status").await?.body;
    let generation = status
        .pointer("/journal/generation")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    Ok(format!("{generation}-{}", revision.saturating_sub(1)))
}

/// Prints what one connection brings. `last` is where it begins, and where it came to.
async fn follow(client: &AdminClient, output: &Output, last: &mut Option<String>) -> Result<(), Failure> {
    let mut ask = Ask::new(Method::GET, "/api/stream/events")
        .header(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
    if let Some(id) = last.as_ref().and_then(|id| HeaderValue::try_from(id).ok()) {
        ask = ask.header(HeaderName::from_static("last-event-id"), id);
    }
    let (status, _, body) = client.send(ask).await?;
    if status != StatusCode::OK {
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        return Err(problem::failure(
            status,
            &serde_json::from_slice(&body).unwrap_or_default(),
            "the data folder",
        ));
    }
    let broken = |why: String| Failure::new(Exit::Unreachable, format!("the stream broke: {why}"));
    let mut chunks = body.into_data_stream();
    let mut buffer = Vec::new();
    loop {
        let chunk = match tokio::time::timeout(SILENCE_MAX, chunks.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(error))) => return Err(broken(error.to_string())),
            Ok(None) => return Ok(()),
            Err(_elapsed) => return Err(broken("nothing came for 30 s".to_owned())),
        };
        buffer.extend_from_slice(&chunk);
        while let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = buffer.drain(..end + 2).collect();
            let event = SentEvent::parse(&String::from_utf8_lossy(&block));
            print(output, &event)?;
            *last = event.id.or(last.take());
        }
        if buffer.len() > EVENT_BYTES_MAX {
            return Err(Failure::new(
                Exit::Failed,
                "an event is larger than any commit can be",
            ));
        }
    }
}

/// One server-sent event (HTML Living Standard 9.2.6).
#[derive(Debug, Default, PartialEq, Eq)]
struct SentEvent {
    id: Option<String>,
    name: String,
    data: String,
}

impl SentEvent {
    fn parse(block: &str) -> Self {
        let mut event = Self::default();
        for line in block.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => event.id = Some(value.to_owned()),
                "event" => value.clone_into(&mut event.name),
                "data" if event.data.is_empty() => value.clone_into(&mut event.data),
                "data" => event.data.extend(["\n", value]),
                _ => {}
            }
        }
        event
    }
}

fn print(output: &Output, event: &SentEvent) -> Result<(), Failure> {
    match event.name.as_str() {
        "message" => {}
        "reset" => {
            output.warning("the history is another one than before: what happened in between is not shown");
            return Ok(());
        }
        _ => return Ok(()),
    }
    let message: Value = serde_json::from_str(&event.data).unwrap_or_default();
    if output.is_data() {
        return output.item(&message).map(drop);
    }
    let commit = message.get("commit").unwrap_or(&Value::Null);
    let actor = commit
        .get("actor")
        .map(|actor| cell(actor, "id"))
        .unwrap_or_default();
    let reason = cell(commit, "reason");
    for happened in commit
        .get("events")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let what = cell(happened, "type").replace("io.flexgate.", "");
        let data = happened.get("data").unwrap_or(&Value::Null);
        let whom = [cell(data, "id"), cell(data, "name")]
            .into_iter()
            .find(|name| !name.is_empty());
        let mut line = format!(
            "{}  {}  {actor}  {what}",
            cell(&message, "revision"),
            cell(commit, "at")
        );
        for detail in whom
            .into_iter()
            .chain((!reason.is_empty()).then(|| format!("({reason})")))
        {
            line.push_str("  ");
            line.push_str(&detail);
        }
        output.line(&line)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_with_all_lines_of_its_data() {
        let event = SentEvent::parse(": hello\nevent: message\nid: 1-7\ndata: {\ndata:}\nretry: 2000\n\n");
        assert_eq!(event.id.as_deref(), Some("1-7"));
        assert_eq!((&*event.name, &*event.data), ("message", "{\n}"));
    }
}

//! A change that takes seconds: it is sent as any other, and a bar on the terminal says how far it is.

use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::{
    client::{AdminClient, Answer, Ask},
    exit::Failure,
};

/// What the admin API answers with, a line for each step.
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const REVISION: HeaderName = HeaderName::from_static("flexgate-revision");
/// How wide the bar is, in characters.
const BAR: &str = "{msg} [{bar:30}] {pos}/{len} parts";
const TURNING: &str = "{msg} {spinner}";

/// A line, as `src/admin/progress.rs` writes it.
#[derive(Debug, Deserialize)]
#[serde(tag = "step", rename_all = "camelCase")]
enum Line {
    Waiting,
    Deciding,
    Storing {
        done: u64,
        of: u64,
    },
    Committing,
    Done {
        status: u16,
        revision: Option<u64>,
        answer: Value,
    },
    Failed {
        problem: Value,
    },
}

/// Sends a change and shows how far it is, if there is a terminal to show it on.
pub(super) async fn ask(client: &AdminClient, ask: Ask) -> Result<Answer, Failure> {
    let within = ask.within;
    let bar = ProgressBar::new_spinner();
    let answering = async {
        bar.set_style(style(TURNING));
        bar.set_message("sending");
        let (status, headers, body) = client.send(ask.header(header::ACCEPT, LINES)).await?;
        if headers.get(header::CONTENT_TYPE) == Some(&LINES) {
            followed(client, &bar, body).await
        } else {
            client.read(status, headers, body).await
        }
    };
    let answer = timeout(within, answering).await;
    bar.finish_and_clear();
    answer.map_err(|_| client.broken(&format!("no answer within {} s", within.as_secs())))?
}

/// Reads the lines up to the last.
async fn followed(client: &AdminClient, bar: &ProgressBar, body: Incoming) -> Result<Answer, Failure> {
    let mut chunks = body.into_data_stream();
    let mut text = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| client.broken(&error.to_string()))?;
        // All but the last line are short, so that nothing long is searched twice.
        let mut fresh = text.len();
        text.extend_from_slice(&chunk);
        while let Some(end) = text[fresh..].iter().position(|byte| *byte == b'\n') {
            let rest = text.split_off(fresh + end + 1);
            let line = serde_json::from_slice(&text);
            let line = line.map_err(|error| client.broken(&format!("a line that is none: {error}")))?;
            if let Some(answer) = show(client, bar, line) {
                return answer;
            }
            (text, fresh) = (rest, 0);
        }
    }
    Err(client.broken("it ended too early"))
}

/// Shows a step; the answer, if it is the last one.
fn show(client: &AdminClient, bar: &ProgressBar, line: Line) -> Option<Result<Answer, Failure>> {
    bar.tick();
    match line {
        Line::Waiting => bar.set_message("waiting for other changes"),
        Line::Deciding => {
            bar.set_style(style(TURNING));
            bar.set_message("checking");
        }
        Line::Storing { done, of } => {
            bar.set_style(style(BAR));
            bar.set_message("storing");
            bar.set_length(of);
            bar.set_position(done);
        }
        Line::Committing => {
            bar.set_style(style(TURNING));
            bar.set_message("putting it in force");
        }
        Line::Failed { problem } => {
            let status = problem.get("status").and_then(Value::as_u64);
            let status = status.and_then(|status| u16::try_from(status).ok()?.try_into().ok());
            let status: StatusCode = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return Some(Err(client.refused(status, &problem)));
        }
        Line::Done {
            status,
            revision,
            answer,
        } => {
            let revision = revision.map(|revision| (REVISION, HeaderValue::from(revision)));
            return Some(Ok(Answer {
                status: status.try_into().unwrap_or(StatusCode::OK),
                headers: HeaderMap::from_iter(revision),
                body: answer,
            }));
        }
    }
    None
}

fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a template of this file")
}

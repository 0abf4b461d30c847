//! How far a change is that takes seconds: whoever asks for `application/x-ndjson` gets a line of JSON for each step while it
//! is made, and its answer as the last line.

use std::{convert::Infallible, pin::Pin, time::Duration};

use axum::{
    body::{self, Body, Bytes},
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, header};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use tokio::{sync::watch, time::timeout};

use super::{attempt::ToldLater, error::Error, read::REVISION};
use crate::{journal::Progress, problem::Problem};

/// The media type of the lines.
pub(super) const MEDIA_TYPE: &str = "application/x-ndjson";
/// The longest silence between two lines; proxies and clients take a much longer one for an end.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// What takes long, and where it is told how far it is.
pub(super) type Work = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send>>;

/// Who hears of a refusal.
type Refused = Box<dyn FnOnce(&Problem) + Send>;

/// One line.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "step", rename_all = "camelCase")]
#[schemars(rename = "ProgressLine")]
enum Line {
    /// Other changes come first.
    Waiting,
    /// It is held against the present configuration; once more, whenever somebody else was first.
    Deciding,
    /// What is too large for one message is stored in parts, which count for nothing yet.
    Storing {
        /// How many of them are.
        done: usize,
        /// How many there are.
        of: usize,
    },
    /// The commit is written, by which all of it counts.
    Committing,
    /// The last line: it is done.
    Done {
        /// The status that the answer has without lines.
        status: u16,
        /// The revision, as in `FlexGate-Revision`.
        revision: Option<u64>,
        /// The answer.
        #[schemars(with = "Value")]
        answer: Box<RawValue>,
    },
    /// The last line: nothing was changed, or it is not known.
    Failed {
        /// What is in the way. Its status is the one that the answer has without lines.
        problem: Problem,
    },
}

/// The lines that are still to come.
struct Lines {
    /// Nothing once the last line is out.
    work: Option<Work>,
    /// Told if it is refused.
    refused: Option<Refused>,
    progress: watch::Receiver<Progress>,
}

/// Whether a request asks for lines.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut ranges = accepted
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','));
    ranges.any(|range| {
        let essence = range.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case(MEDIA_TYPE)
    })
}

/// The schema of a line.
pub(super) fn line(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<Line>()
}

/// Answers with lines. What is worked on is worked on to its end, also if nobody reads them.
pub(super) fn told(
    work: impl FnOnce(watch::Sender<Progress>) -> Work,
    refused: impl FnOnce(&Problem) + Send + 'static,
) -> Response {
    let progress = watch::Sender::new(Progress::Waiting);
    let lines = Lines {
        progress: progress.subscribe(),
        work: Some(work(progress)),
        refused: Some(Box::new(refused)),
    };
    let body = Body::from_stream(stream::unfold(lines, Lines::next));
    let mut response = body.into_response();
    response.extensions_mut().insert(ToldLater);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl Lines {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let work = self.work.as_mut()?;
        let line = tokio::select! {
            biased;
            answered = work => {
                self.work = None;
                let line = Line::last(answered).await;
                if let (Line::Failed { problem }, Some(refused)) = (&line, self.refused.take()) {
                    refused(problem);
                }
                line
            }
            _ = timeout(SILENCE_MAX, self.progress.changed()) => Line::of(*self.progress.borrow_and_update()),
        };
        Some((Ok(line.written()), self))
    }
}

impl Line {
    fn of(progress: Progress) -> Self {
        match progress {
            Progress::Waiting => Self::Waiting,
            Progress::Deciding => Self::Deciding,
            Progress::Storing { done, of } => Self::Storing { done, of },
            Progress::Committing => Self::Committing,
        }
    }

    async fn last(answered: Result<Response, Error>) -> Self {
        let response = match answered {
            Ok(response) => response,
            Err(error) => {
                let problem = Problem::from(&error);
                return Self::Failed { problem };
            }
        };
        let status = response.status().as_u16();
        let revision = response.headers().get(REVISION);
        let revision = revision.and_then(|revision| revision.to_str().ok()?.parse().ok());
        // It is in memory already, and JSON.
        let bytes = body::to_bytes(response.into_body(), usize::MAX).await;
        let answer = serde_json::from_slice(&bytes.unwrap_or_default()).unwrap_or_default();
        Self::Done {
            status,
            revision,
            answer,
        }
    }

    fn written(&self) -> Bytes {
        let mut line = serde_json::to_vec(self).expect("string keys and whole numbers only");
        line.push(b'\n');
        line.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_for_those_who_ask_for_them() {
        let check = |accept: &'static str, wanted: bool| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(is_wanted(&headers), wanted, "{accept}");
        };
        check("application/x-ndjson", true);
        check("application/json;q=0.5, Application/X-NDJSON;q=1", true);
        check("application/json", false);
        check("*/*", false);
    }
}

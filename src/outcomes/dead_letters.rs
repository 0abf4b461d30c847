//! The stream DEADLETTER: what a projection put aside, for whoever watches streams and not tables.

use std::time::Duration;

use async_nats::HeaderMap;
use flexgate_projections::Dead;
use tokio::sync::mpsc;

use crate::{
    drain::Tasks,
    journal::jetstream::{Link, Names},
};

/// How many dead letters wait for the server. Full: those that come then are only in the table.
const WAITING_MAX: usize = 1024;
/// How long one publication may take.
const PUBLISH_WITHIN: Duration = Duration::from_secs(5);
/// The most bytes of an error that a header takes.
const ERROR_BYTES_MAX: usize = 1024;

/// Publishes dead letters in the background. The table has every one of them; this is news.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    waiting: mpsc::Sender<Dead>,
}

impl DeadLetters {
    /// Publishes for a projection until the tasks are stopped.
    pub fn start(link: Link, names: &Names, projection: &'static str, tasks: &Tasks) -> Self {
        let (waiting, letters) = mpsc::channel(WAITING_MAX);
        let subject = names.dead_letter_subject(projection);
        tasks.spawn(publish(link, (subject, projection), letters, tasks.clone()));
        Self { waiting }
    }

    /// These were put aside just now.
    pub fn send(&self, dead: &[Dead]) {
        for letter in dead {
            if self.waiting.try_send(letter.clone()).is_err() {
                tracing::warn!(
                    sequence = letter.message.sequence,
                    "a dead letter is only in the table"
                );
            }
        }
    }
}

async fn publish(
    link: Link,
    (subject, projection): (String, &'static str),
    mut letters: mpsc::Receiver<Dead>,
    tasks: Tasks,
) {
    while let Some(Some(letter)) = tasks.unless_stopped(letters.recv()).await {
        let publishing = async {
            link.connected().await;
            let headers = headers(&letter, projection);
            let payload = letter.message.message.payload.clone();
            let sent = link
                .jetstream()
                .publish_with_headers(subject.clone(), headers, payload.into());
            sent.await
                .map_err(|error| error.to_string())?
                .await
                .map_err(|error| error.to_string())
        };
        let done = tokio::time::timeout(PUBLISH_WITHIN, publishing).await;
        if !matches!(done, Ok(Ok(_))) {
            tracing::warn!(
                sequence = letter.message.sequence,
                ?done,
                "a dead letter is only in the table"
            );
        }
    }
}

/// Its own headers, except for those that tell the server what to do, and why it is here.
fn headers(letter: &Dead, projection: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let delivered = &letter.message;
    let said = delivered.message.headers.iter();
    for (name, value) in said.filter(|(name, _)| !name.starts_with("Nats-")) {
        headers.insert(&**name, &**value);
    }
    let error: String = letter
        .error
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let end = error.floor_char_boundary(ERROR_BYTES_MAX);
    headers.insert(
        "Nats-Msg-Id",
        format!(
            "{projection}-{}-{}",
            delivered.sequence,
            delivered.stored_at.as_millis()
        ),
    );
    headers.insert("Flexgate-Error", &error[..end]);
    headers.insert("Flexgate-Sequence", delivered.sequence.to_string());
    headers
}

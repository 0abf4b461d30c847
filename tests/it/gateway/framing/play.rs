//! Sends the bytes of a case, and tells what became of them.

use std::{fmt, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    time::timeout,
};

use super::corpus::Case;
use crate::{
    upstream::Upstream,
    wire::{Client, Message, read_message},
};

/// How long an answer is waited for that should come; only a case that fails takes so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request that can be told from those of all cases: where it is answered, the one before is over.
const FURTHER: &str = "GET /further HTTP/1.1\r\nhost: further\r\nconnection: close\r\n\r\n";

/// What becomes of the bytes of a case.
#[derive(PartialEq, Eq, Default)]
pub(super) struct Played {
    /// Statuses.
    pub(super) answers: Vec<u16>,
    pub(super) ended: Ended,
    /// What reaches the upstream in whole.
    pub(super) seen: Vec<Seen>,
}

/// How a connection is when there is no further answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ended {
    /// The next request is answered.
    Open,
    /// The other side has closed it.
    #[default]
    Closed,
    /// For what is still to come; the answers after these are to its end.
    Waits { after: usize },
    /// It neither answers nor closes: what must never be.
    Hangs,
}

/// A request as an upstream sees it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) body: Vec<u8>,
}

/// Plays a case over a connection to a gateway. Nothing is waited for but what the case says will come.
pub(super) async fn play(
    case: &Case,
    stream: BufReader<impl AsyncRead + AsyncWrite + Unpin>,
) -> (Vec<u16>, Ended) {
    let (reader, mut writer) = tokio::io::split(stream.into_inner());
    let mut answers = Answers {
        of_head: case.sent.starts_with(b"HEAD "),
        statuses: Vec::new(),
        reader: BufReader::new(reader),
    };
    let expected = &case.expected;
    let first = match expected.ended {
        Ended::Waits { after } => after,
        _ => expected.answers.len(),
    };
    // What is refused early is not read to its end, so sending may fail.
    let (_sent, _) = tokio::join!(writer.write_all(&case.sent), answers.read(first));
    match expected.ended {
        Ended::Open => drop(writer.write_all(FURTHER.as_bytes()).await),
        Ended::Waits { .. } => drop(writer.shutdown().await),
        Ended::Closed | Ended::Hangs => {}
    }
    let ended = match (answers.read(usize::MAX).await, expected.ended) {
        (Ended::Closed, Ended::Open) if answers.statuses.len() == first + 1 => {
            answers.statuses.pop();
            Ended::Open
        }
        (Ended::Closed, Ended::Waits { after }) => Ended::Waits { after },
        (ended, _) => ended,
    };
    (answers.statuses, ended)
}

struct Answers<R> {
    /// Whether the first of them has no body, whatever it says of itself.
    of_head: bool,
    statuses: Vec<u16>,
    reader: BufReader<R>,
}

impl<R: AsyncRead + Unpin> Answers<R> {
    /// Reads until there are so many, or the other side closes.
    async fn read(&mut self, count: usize) -> Ended {
        while self.statuses.len() < count {
            let method = if self.of_head && self.statuses.is_empty() {
                "HEAD"
            } else {
                "GET"
            };
            let answer = timeout(PATIENCE, read_message(&mut self.reader, Some(method)));
            match answer.await {
                Ok(Ok(Some(answer))) => self.statuses.push(answer.status()),
                Ok(Ok(None) | Err(_)) => return Ended::Closed,
                Err(_) => return Ended::Hangs,
            }
        }
        Ended::Open
    }
}

/// What an upstream was asked, when all that was asked of it is over: whoever asks it now comes after everybody else.
pub(super) async fn seen_by(upstream: &Upstream) -> Vec<Seen> {
    let mut last = Client::connect(upstream.addr()).await;
    last.ask("GET /last HTTP/1.1\r\nhost: last\r\n\r\n").await;
    drop(last);
    upstream.has_closed(upstream.connections()).await;
    let mut seen: Vec<Seen> = upstream.seen().iter().map(Seen::from).collect();
    seen.retain(|seen| !["/last", "/further"].contains(&&*seen.target));
    seen
}

impl From<&Message> for Seen {
    fn from(message: &Message) -> Self {
        let framings = [
            message.header("content-length"),
            message.header("transfer-encoding"),
        ];
        assert!(
            framings.iter().flatten().count() < 2,
            "{framings:?} in {}",
            message.start
        );
        Self {
            method: message.start.split(' ').next().unwrap_or_default().to_owned(),
            target: message.target().to_owned(),
            body: message.body.clone(),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |bytes: &[u8]| {
            let text = bytes.escape_ascii().to_string();
            if text.len() < 200 {
                text
            } else {
                format!("{} bytes", bytes.len())
            }
        };
        write!(
            out,
            "{} {} {}",
            self.method,
            shown(self.target.as_bytes()),
            shown(&self.body)
        )
    }
}

impl fmt::Display for Played {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} {:?}", self.answers, self.ended)?;
        self.seen.iter().try_for_each(|seen| write!(out, "; {seen}"))
    }
}

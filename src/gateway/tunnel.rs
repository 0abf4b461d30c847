//! Tunnels: what becomes of a request that switched to another protocol (RFC 9110 7.8), WebSocket as a rule. Bytes go both
//! ways as they are, until both sides have ended or neither has said anything for long.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use http::{
    HeaderMap, HeaderValue, Version,
    header::{CONNECTION, UPGRADE},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes},
    time::sleep_until,
};

use super::{
    exchange::{Ending, Exchange},
    look::{Field, Look},
    observe::Observation,
    wire::Wire,
};

/// What is read at once, each way, in bytes.
const BUFFER_BYTES: usize = 16 * 1024;

/// The protocol that a request without a body asks to switch to, if it may: one that is not another version of HTTP, whose
/// requests nobody would look at.
pub(super) fn asked_for(exchange: &Exchange, headers: &HeaderMap, look: Look) -> Option<HeaderValue> {
    let is_possible =
        look.has(Field::Upgrade) && look.has(Field::Connection) && exchange.version == Version::HTTP_11;
    if !is_possible {
        return None;
    }
    let protocol = headers.get(UPGRADE)?;
    let begins = |name: &[u8], with: &[u8]| {
        let start = name.trim_ascii().get(..with.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    let is_http = |name: &[u8]| begins(name, b"http") || begins(name, b"h2");
    let is_foreign = !protocol.as_bytes().split(|byte| *byte == b',').any(is_http);
    let is_asked_for = headers.get_all(CONNECTION).iter().any(|options| {
        let mut options = options.as_bytes().split(|byte| *byte == b',');
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    });
    (is_foreign && is_asked_for).then(|| protocol.clone())
}

/// A request whose upstream switches; the client is about to be told.
#[derive(Debug)]
pub(super) struct Tunnel {
    upstream: Wire,
    observation: Observation,
}

impl Tunnel {
    /// To this upstream. The request is over when the tunnel is.
    pub(super) fn new(upstream: Wire, observation: Observation) -> Self {
        Self {
            upstream,
            observation,
        }
    }

    /// Carries bytes until it is over, and says how it ended.
    pub(super) async fn run(self, client: Wire) {
        let exchange = self.observation.exchange();
        let moved_at = Rc::new(Cell::new(Instant::now()));
        let broken = Rc::new(Cell::new(Ending::Whole));
        let side = |wire, ending, count| Side {
            io: TokioIo::new(wire),
            ending,
            count,
            exchange,
            moved_at: Rc::clone(&moved_at),
            broken: Rc::clone(&broken),
        };
        let mut client = side(client, Ending::Open, Exchange::count_in as fn(&Exchange, usize));
        let mut upstream = side(self.upstream, Ending::BrokenOff, Exchange::count_out);
        let carrying = copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER_BYTES, BUFFER_BYTES);
        tokio::select! {
            carried = carrying => match carried {
                Ok(_) => exchange.ending.set(Ending::Whole),
                Err(_) => exchange.ending.set(broken.get()),
            },
            () = idle(&moved_at, exchange.stream_pause_max()) => exchange.ending.set(Ending::Stalled),
        }
    }
}

/// Waits until nothing has moved for too long.
async fn idle(moved_at: &Cell<Instant>, patience: Duration) {
    while moved_at.get().elapsed() < patience {
        sleep_until((moved_at.get() + patience).into()).await;
    }
}

/// One end of a tunnel, watched.
struct Side<'e> {
    io: TokioIo<Wire>,
    /// How the tunnel ends if this side breaks.
    ending: Ending,
    /// Counts what is read from it.
    count: fn(&Exchange, usize),
    exchange: &'e Exchange,
    moved_at: Rc<Cell<Instant>>,
    broken: Rc<Cell<Ending>>,
}

impl Side<'_> {
    fn watched<T>(&self, result: io::Result<T>) -> Poll<io::Result<T>> {
        match &result {
            Ok(_) => self.moved_at.set(Instant::now()),
            Err(_) => self.broken.set(self.ending),
        }
        Poll::Ready(result)
    }
}

impl AsyncRead for Side<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, buffer));
        (self.count)(self.exchange, buffer.filled().len() - before);
        self.watched(read)
    }
}

impl AsyncWrite for Side<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes));
        self.watched(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

//! Lines: connections to upstreams, one request at a time.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{Builder, Connection, SendRequest},
    rt::{Read, ReadBufCursor, Write},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{body::RequestBody, origin::Origin};

/// The longest head of a response, and what of a body is buffered ahead of a slow client, in bytes.
const BUFFER_BYTES_MAX: usize = 128 * 1024;

/// A connection to an upstream. Nothing runs in the background: whoever holds the line drives it, in the task of the
/// client's own connection, so that an answer wakes one task and not two.
pub(super) struct Line {
    pub(super) origin: Arc<Origin>,
    /// Where it really leads.
    pub(super) address: IpAddr,
    /// For how many ticks it may rest; less when the upstream said so.
    pub(super) rest_ticks: u32,
    /// The tick at which it came to rest.
    pub(super) rested_at: u32,
    /// Whether an answer came through it before.
    pub(super) used: bool,
    sender: SendRequest<RequestBody>,
    driver: Connection<Wire, RequestBody>,
}

/// Why no answer came.
#[derive(Debug)]
pub(super) enum Lost {
    /// The line was dead before the request was written: here it is again, untouched.
    Unsent(Box<Request<RequestBody>>),
    /// The upstream may have seen it.
    Sent(hyper::Error),
}

impl Line {
    /// Takes a fresh connection into use.
    pub(super) async fn open(
        origin: Arc<Origin>,
        address: IpAddr,
        wire: Wire,
        rest_ticks: u32,
    ) -> hyper::Result<Self> {
        let (sender, driver) = Builder::new()
            .max_buf_size(BUFFER_BYTES_MAX)
            .handshake(wire)
            .await?;
        Ok(Self {
            origin,
            address,
            rest_ticks,
            rested_at: 0,
            used: false,
            sender,
            driver,
        })
    }

    /// Sends a request. Its answer comes to whoever goes on polling [`Line::poll_answer`] with what this returns.
    pub(super) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, Lost>> + use<> {
        let answer = self.sender.try_send_request(request);
        async move {
            answer.await.map_err(|mut lost| match lost.take_message() {
                Some(request) => Lost::Unsent(Box::new(request)),
                None => Lost::Sent(lost.into_error()),
            })
        }
    }

    /// Drives the line; ready when it is over and must be dropped.
    pub(super) fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.driver).poll(cx).map(|result| {
            if let Err(error) = result {
                tracing::debug!(origin = %self.origin.host, %error, "a connection to an upstream broke");
            }
        })
    }

    /// Whether the last exchange is over, in both directions, and the upstream did not ask to close.
    pub(super) fn is_free(&self) -> bool {
        self.sender.is_ready()
    }

    /// The upstream keeps it for so long. It is left alone a second earlier, so that no request meets the close.
    pub(super) fn rest_at_most(&mut self, seconds: u32) {
        self.rest_ticks = self.rest_ticks.min(seconds.saturating_sub(1));
    }

    /// Whether a resting line is still good, as far as one can tell without sending anything.
    pub(super) fn is_alive(&mut self) -> bool {
        // Nobody waits for a resting line, so nobody need be woken.
        self.poll_drive(&mut Context::from_waker(Waker::noop()))
            .is_pending()
            && self.is_free()
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Line({} at {})", self.origin.host, self.address)
    }
}

/// The bytes beneath HTTP, encrypted or not.
pub(super) enum Wire {
    /// As they are.
    Plain(TokioIo<TcpStream>),
    /// Within TLS.
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

/// Calls the same method on whichever wire it is.
macro_rules! on_either {
    ($wire:expr, $io:ident => $call:expr) => {
        match $wire {
            Wire::Plain($io) => $call,
            Wire::Tls($io) => $call,
        }
    };
}

impl Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        on_either!(self.get_mut(), io => Pin::new(io).poll_read(cx, buffer))
    }
}

impl Write for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on_either!(self.get_mut(), io => Pin::new(io).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_either!(self.get_mut(), io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_either!(self.get_mut(), io => Pin::new(io).poll_shutdown(cx))
    }

    fn is_write_vectored(&self) -> bool {
        on_either!(self, io => io.is_write_vectored())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_either!(self.get_mut(), io => Pin::new(io).poll_write_vectored(cx, pieces))
    }
}

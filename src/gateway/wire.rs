//! Wires: the bytes beneath HTTP, encrypted or not.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// Up to how many bytes several pieces are copied together instead of being listed to the kernel: measured, a `send` of a
/// small head with its body takes 4 % less than a `writev` of both.
const JOINED_BYTES_MAX: usize = 4096;

thread_local! {
    /// Where pieces are joined, one write after the other.
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A connected socket.
pub(super) struct Wire {
    stream: Stream,
    /// What was read already, and comes before everything else.
    ahead: Bytes,
}

enum Stream {
    /// Bytes as they are.
    Plain(TokioIo<TcpStream>),
    /// Bytes within TLS.
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Wire {
    /// What was not sent yet will not be: it is forgotten with the connection. Otherwise the kernel would keep it for as long
    /// as the other side likes, which may take a byte now and then.
    pub(super) fn forgets_what_is_unsent(&self) {
        let stream = match &self.stream {
            Stream::Plain(io) => io.inner(),
            Stream::Tls(io) => io.inner().get_ref().0,
        };
        let _would_be_kept = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }

    /// These bytes were read and not used: they are read again, before anything else.
    pub(super) fn put_back(&mut self, bytes: impl Into<Bytes>) {
        self.ahead = bytes.into();
    }
}

impl Wire {
    /// Whether both sides of TLS agreed on this protocol (RFC 7301).
    pub(super) fn agreed_on(&self, protocol: &[u8]) -> bool {
        match &self.stream {
            Stream::Plain(_) => false,
            Stream::Tls(io) => io.inner().get_ref().1.alpn_protocol() == Some(protocol),
        }
    }
}

impl From<TcpStream> for Wire {
    fn from(stream: TcpStream) -> Self {
        Stream::Plain(TokioIo::new(stream)).into()
    }
}

impl From<TlsStream<TcpStream>> for Wire {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        Stream::Tls(Box::new(TokioIo::new(stream))).into()
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Wire({} bytes ahead)", self.ahead.len())
    }
}

impl From<Stream> for Wire {
    fn from(stream: Stream) -> Self {
        Self {
            stream,
            ahead: Bytes::new(),
        }
    }
}

/// Calls the same method on whichever stream it is.
macro_rules! on_either {
    ($wire:expr, $io:ident => $call:expr) => {
        match &mut $wire.stream {
            Stream::Plain($io) => $call,
            Stream::Tls($io) => $call,
        }
    };
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let length = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead.split_to(length));
            return Poll::Ready(Ok(()));
        }
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

    /// Said of TLS too, so that large bodies are not copied on their way to it.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match pieces {
            [only] => self.poll_write(cx, only),
            few if few.iter().map(|piece| piece.len()).sum::<usize>() <= JOINED_BYTES_MAX => JOINED
                .with_borrow_mut(|joined| {
                    joined.clear();
                    for piece in few {
                        joined.extend_from_slice(piece);
                    }
                    self.poll_write(cx, joined)
                }),
            many => on_either!(self.get_mut(), io => Pin::new(io).poll_write_vectored(cx, many)),
        }
    }
}

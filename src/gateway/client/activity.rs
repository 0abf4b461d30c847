//! What goes over a client's wire, as far as patience with the client depends on it.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Instant,
};

use hyper::rt::{Read, ReadBufCursor, Write};

use super::{super::wire::Wire, Client};

/// Something that lasts, if it does. When it began is looked up by whoever asks first: most never lasts that long, and the
/// clock costs more than to note it.
#[derive(Debug, Default)]
struct Lasting {
    is_so: Cell<bool>,
    since: Cell<Option<Instant>>,
}

impl Lasting {
    fn begins(&self) {
        self.is_so.set(true);
    }

    fn ends(&self) {
        self.is_so.set(false);
        self.since.set(None);
    }

    /// Since when; none if it does not last.
    fn since(&self) -> Option<Instant> {
        if self.is_so.get() && self.since.get().is_none() {
            self.since.set(Some(Instant::now()));
        }
        self.since.get()
    }
}

/// What a client does and does not do.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Something of a head came, and not all of it.
    head: Lasting,
    /// There is something to send, and the client does not take it.
    stuck: Lasting,
}

impl Activity {
    /// Something is to come at once.
    pub(super) fn expects_head(&self) {
        self.head.begins();
    }

    /// Since when the head of a request is being sent.
    pub(super) fn head_since(&self) -> Option<Instant> {
        self.head.since()
    }

    /// Since when the client takes nothing of what is there for it.
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        self.stuck.since()
    }

    /// A request begins or ends: what came belongs to it.
    pub(super) fn turns(&self) {
        self.head.ends();
    }
}

/// A client's wire, whose activity is noted.
pub(super) struct Watched {
    wire: Wire,
    client: Rc<Client>,
    /// Whether what comes while there is no request is the head of one. In HTTP/2 it may be anything.
    heads_only: bool,
}

impl Watched {
    /// Watches what goes over a wire that HTTP/1.1 is spoken on, or else HTTP/2.
    pub(super) fn new(wire: Wire, client: &Rc<Client>, heads_only: bool) -> Self {
        Self {
            wire,
            client: Rc::clone(client),
            heads_only,
        }
    }

    /// Gives the wire back.
    pub(super) fn into_wire(self) -> Wire {
        self.wire
    }

    fn note_write(&self, written: &Poll<io::Result<usize>>) {
        let stuck = &self.client.activity.stuck;
        match written {
            Poll::Pending => stuck.begins(),
            Poll::Ready(_) => stuck.ends(),
        }
    }
}

impl Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.wire).poll_read(cx, buffer))?;
        if self.heads_only {
            self.client.activity.head.begins(); // or the client ended its side, after which nobody waits for it
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.wire).poll_write(cx, bytes);
        self.note_write(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.wire).poll_write_vectored(cx, pieces);
        self.note_write(&written);
        written
    }
}

//! Doors: where clients come in. Each core has its own socket at every door.

use std::{
    cell::Cell,
    future::poll_fn,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    rc::Rc,
    task::Poll,
};

use http::HeaderValue;
use tokio::net::{TcpListener, TcpStream};

use super::inbound_tls::InboundTls;

/// What a client's requests say of the door that it came in by.
#[derive(Debug)]
pub(super) struct Entry {
    /// The port that clients connect to, as a field's value.
    pub(super) port: HeaderValue,
    /// How TLS is spoken there, if it is.
    pub(super) tls: Option<InboundTls>,
}

impl Entry {
    /// The scheme of its URLs.
    pub(super) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// One core's socket at a door.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) listener: TcpListener,
    pub(super) entry: Rc<Entry>,
}

/// The doors of one core.
#[derive(Debug)]
pub(super) struct Doors {
    doors: Vec<Door>,
    /// The door that is looked at first, each in turn, so that a busy one does not close the others.
    first: Cell<usize>,
}

/// A client that came in.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) entry: Rc<Entry>,
}

impl Door {
    /// Needs a runtime.
    pub(super) fn open(listener: StdListener, tls: Option<InboundTls>) -> io::Result<Self> {
        let port = listener.local_addr()?.port().into();
        Ok(Self {
            listener: TcpListener::from_std(listener)?,
            entry: Rc::new(Entry { port, tls }),
        })
    }
}

impl Doors {
    pub(super) fn new(doors: Vec<Door>) -> Self {
        Self {
            doors,
            first: Cell::new(0),
        }
    }

    /// The next client. Cancel-safe: whoever was accepted is returned.
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        poll_fn(|cx| {
            let first = self.first.get();
            for place in (first..first + self.doors.len()).map(|place| place % self.doors.len()) {
                let door = &self.doors[place];
                if let Poll::Ready(accepted) = door.listener.poll_accept(cx) {
                    self.first.set((place + 1) % self.doors.len());
                    return Poll::Ready(accepted.map(|(stream, peer)| Accepted {
                        stream,
                        peer,
                        entry: Rc::clone(&door.entry),
                    }));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The doors, one by one, to be closed.
    pub(super) fn into_each(self) -> impl Iterator<Item = Door> {
        self.doors.into_iter()
    }
}

//! One client's connection, from the accepted socket to its close.

mod activity;
mod entrance;
mod http1;
mod http2;
mod linger;
mod patience;
mod preface;

use std::{
    cell::{Cell, OnceCell, RefCell},
    future::poll_fn,
    io,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    task::Poll,
    time::Instant,
};

use flexgate_schemas::key::CertificateName;
use http::{HeaderValue, Version};
use metrics::counter;
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use self::{activity::Activity, patience::Tired};
use super::{
    certificates, core::Core, crowd::Place, door::Entry, shown::Shown, strand::Strand, tls::ALPN_HTTP2,
    tunnel::Tunnel, wire::Wire,
};

/// A client's connection, as its requests see it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) core: Rc<Core>,
    pub(super) address: IpAddr,
    /// The same, as a field's value.
    pub(super) address_text: HeaderValue,
    /// What the certificate that it has shown is known by, if it has.
    pub(super) certificate: OnceCell<Box<[CertificateName]>>,
    /// The API key that it has shown last.
    pub(super) shown: Shown,
    /// Where it came in.
    pub(super) entry: Rc<Entry>,
    /// The task of the connection.
    strand: Rc<Strand>,
    /// How many requests it has.
    requests: Cell<usize>,
    /// Since when it has none.
    resting_since: Cell<Instant>,
    had_request: Cell<bool>,
    /// What goes on when the connection is none of HTTP any more.
    tunnel: RefCell<Option<Tunnel>>,
    activity: Activity,
    /// Why it was given up, if it was.
    tired: Cell<Option<Tired>>,
    /// What it counts by.
    _place: Place,
}

/// What both versions of HTTP are to whoever drives a connection.
trait Connection: Future<Output = hyper::Result<()>> {
    /// No further requests are taken; over when the present ones are.
    fn close_gracefully(self: Pin<&mut Self>);
}

impl Client {
    /// A connection just accepted.
    pub(super) fn new(core: Rc<Core>, address: IpAddr, entry: Rc<Entry>, place: Place) -> Self {
        let address = address.to_canonical();
        Self {
            core,
            address,
            address_text: HeaderValue::try_from(address.to_string()).expect("an address is visible ASCII"),
            certificate: OnceCell::new(),
            shown: Shown::default(),
            entry,
            strand: Rc::new(Strand::new()),
            requests: Cell::new(0),
            resting_since: Cell::new(Instant::now()),
            had_request: Cell::new(false),
            tunnel: RefCell::default(),
            activity: Activity::default(),
            tired: Cell::new(None),
            _place: place,
        }
    }

    /// A request came, in this version of HTTP. Returns the task that it runs in.
    pub(super) fn begins(&self, version: Version) -> Rc<Strand> {
        self.requests.set(self.requests.get() + 1);
        self.had_request.set(true);
        self.activity.turns();
        if version == Version::HTTP_2 {
            Rc::new(Strand::new())
        } else {
            Rc::clone(&self.strand)
        }
    }

    /// A request is over.
    pub(super) fn ends(&self, now: Instant) {
        self.requests.set(self.requests.get() - 1);
        self.resting_since.set(now);
        self.activity.turns();
    }

    /// Its request switches to another protocol.
    pub(super) fn switches(&self, tunnel: Tunnel) {
        self.tunnel.replace(Some(tunnel));
    }

    /// Lets the connection look around: the gateway is closing.
    pub(super) fn wake(&self) {
        self.strand.task().wake_by_ref();
    }

    /// Drives a connection until it is over, tired, or the gateway closes and its requests are over.
    async fn drive(&self, mut connection: Pin<&mut impl Connection>) -> hyper::Result<()> {
        let mut told_to_close = false;
        let driving = poll_fn(|cx| {
            loop {
                if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                    return Poll::Ready(result);
                }
                // Polled first: a request that is here already is served, and its response says that it is the last.
                if !self.core.is_closing() || !self.had_request.get() || told_to_close {
                    return Poll::Pending;
                }
                connection.as_mut().close_gracefully();
                told_to_close = true;
            }
        });
        self.unless_tired(driving).await.unwrap_or(Ok(()))
    }
}

/// Encrypts a connection if need be, and finds out which version of HTTP it is for.
async fn begin(client: &Client, stream: TcpStream) -> io::Result<(Wire, Version)> {
    let Some(tls) = &client.entry.tls else {
        let mut wire = Wire::from(stream);
        let version = preface::version(&mut wire).await?;
        return Ok((wire, version));
    };
    let accepted = tls.acceptor().accept(stream).await;
    let stream = accepted.inspect_err(|_| counter!("flexgate_tls_handshake_failures_total").increment(1))?;
    if let Some([certificate, ..]) = stream.get_ref().1.peer_certificates() {
        client
            .certificate
            .get_or_init(|| certificates::known_by(certificate));
    }
    let wire = Wire::from(TlsStream::from(stream));
    let version = if wire.agreed_on(ALPN_HTTP2) {
        Version::HTTP_2
    } else {
        Version::HTTP_11
    };
    Ok((wire, version))
}

/// Serves a connection until it is over.
pub(super) async fn serve(client: Rc<Client>, stream: TcpStream) {
    if client.entry.tls.is_some() {
        client.activity.expects_head(); // a handshake may take as long as a head, and not as long as a rest
    }
    let begun = client.unless_tired(begin(&client, stream)).await;
    client.activity.turns();
    let (wire, version) = match begun {
        None => return,
        Some(Ok(begun)) => begun,
        Some(Err(error)) => {
            return tracing::debug!(client = %client.address, %error, "a connection of a client broke");
        }
    };
    let result = match version {
        Version::HTTP_2 => http2::serve(&client, wire).await,
        _ => http1::serve(&client, wire).await,
    };
    if let Err(error) = result {
        if error.is_parse() {
            super::metrics::count_refusal("bad_request_head");
        }
        tracing::debug!(client = %client.address, %error, "a connection of a client broke");
    }
}

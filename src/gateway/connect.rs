//! New lines: resolve, refuse what is prohibited, dial, encrypt.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use flexgate_schemas::transport::Protocol;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsStream;

use super::{
    channel::Channel,
    far_end::FarEnd,
    line::Line,
    origin::Origin,
    pool::REST_TICKS,
    resolve::{ResolveError, Resolver},
    tls::{ALPN_HTTP2, OriginTls, Tls},
    wire::Wire,
};
use crate::egress::{self, Behalf, Guard, Prohibited};

/// Makes the lines of one core.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) resolver: Rc<Resolver>,
    tls: Tls,
}

/// A new connection.
pub(super) enum Connected {
    /// For one request at a time.
    Line(Box<Line>),
    /// For many.
    Channel(Rc<Channel>),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The name did not become an address.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// No request may go to the host, or to any of its addresses.
    #[error(transparent)]
    Prohibited(#[from] Prohibited),
    /// No address took the connection.
    #[error("the connection was not accepted: {0}")]
    Refused(io::Error),
    /// It took too long, all steps together.
    #[error("the connection was not made in time")]
    Timeout,
    /// The certificate is not to be trusted.
    #[error("the certificate is not acceptable: {0}")]
    Certificate(rustls::CertificateError),
    /// TLS failed in another way.
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    /// Our own side of TLS is not right: a key that does not fit its certificate, as a rule.
    #[error("TLS cannot be set up: {0}")]
    Configuration(rustls::Error),
    /// The upstream was to speak HTTP/2 and does not.
    #[error("the upstream does not agree on HTTP/2")]
    NoHttp2,
    /// HTTP failed before it began.
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

impl Connector {
    /// Needs a runtime.
    pub(super) fn new(tls: Tls, name_servers: &[SocketAddr]) -> Self {
        Self {
            resolver: Rc::new(Resolver::new(name_servers)),
            tls,
        }
    }

    /// A new connection to an origin; one of HTTP/1.1 if the request is to switch from that to another protocol. The timeout
    /// covers resolution, TCP and TLS.
    pub(super) async fn connect(
        &self,
        origin: &Arc<Origin>,
        (guard, switches): (&Arc<Guard>, bool),
        timeout: Duration,
    ) -> Result<Connected, ConnectError> {
        let deadline = Instant::now() + timeout;
        let (stream, address) = self.dial(origin, guard, deadline).await?;
        let wire = match &origin.tls {
            None => Wire::from(stream),
            Some(tls) => self.encrypt(stream, (tls, switches), deadline).await?,
        };
        let is_http2 =
            wire.agreed_on(ALPN_HTTP2) || origin.tls.is_none() && origin.protocol == Protocol::Http2;
        let end = FarEnd::new(origin, address, guard);
        Ok(if is_http2 {
            Connected::Channel(Channel::open(end, wire).await?)
        } else if origin.protocol == Protocol::Http2 {
            return Err(ConnectError::NoHttp2);
        } else {
            Connected::Line(Box::new(Line::open(end, wire, REST_TICKS).await?))
        })
    }

    /// Tries the addresses one after the other. Each but the last may take half of the time that is left, so that one
    /// that does not answer leaves time for the others.
    async fn dial(
        &self,
        origin: &Origin,
        guard: &Guard,
        deadline: Instant,
    ) -> Result<(TcpStream, IpAddr), ConnectError> {
        let addresses = self.permitted_addresses(origin, guard, deadline).await?;
        let mut failure = ConnectError::Resolve(ResolveError::NoAddress);
        for (place, address) in addresses.iter().enumerate() {
            let now = Instant::now();
            let last = place + 1 == addresses.len();
            let until = if last {
                deadline
            } else {
                now + deadline.saturating_duration_since(now) / 2
            };
            match timeout_at(until, TcpStream::connect(SocketAddr::new(*address, origin.port))).await {
                Ok(Ok(stream)) => {
                    // A request's head and body are two writes; without this the second may wait for an acknowledgement.
                    stream.set_nodelay(true).map_err(ConnectError::Refused)?;
                    return Ok((stream, *address));
                }
                Ok(Err(error)) => failure = ConnectError::Refused(error),
                Err(_) => failure = ConnectError::Timeout,
            }
        }
        Err(failure)
    }

    /// The addresses that the host stands for now and that requests may go to, in the order to try them. Asked for every
    /// connection, also where the answer of a name server is remembered: what is returned here is what is dialled.
    async fn permitted_addresses(
        &self,
        origin: &Origin,
        guard: &Guard,
        deadline: Instant,
    ) -> Result<Vec<IpAddr>, ConnectError> {
        let host = &origin.known_as;
        egress::verdict_on_host(guard, host, Behalf::Client)?; // a name that nobody may ask for is not resolved either
        let resolved = timeout_at(deadline, self.resolver.resolve(origin))
            .await
            .map_err(|_| ConnectError::Resolve(ResolveError::Timeout))??;
        let mut addresses = self.resolver.in_turn(&resolved);
        let mut prohibited = None;
        addresses.retain(|address| {
            let verdict = egress::verdict(guard, host, *address, Behalf::Client);
            let goes = verdict.is_ok();
            prohibited = verdict.err().or(prohibited.take());
            goes
        });
        match prohibited {
            Some(reason) if addresses.is_empty() => Err(reason.into()),
            _ => Ok(addresses),
        }
    }

    async fn encrypt(
        &self,
        stream: TcpStream,
        (tls, switches): (&OriginTls, bool),
        deadline: Instant,
    ) -> Result<Wire, ConnectError> {
        let connector = self
            .tls
            .connector(tls, switches)
            .map_err(ConnectError::Configuration)?;
        let handshake = connector.connect(tls.name.clone(), stream);
        let stream = timeout_at(deadline, handshake)
            .await
            .map_err(|_| ConnectError::Timeout)?
            .map_err(|error| match certificate_error(&error) {
                Some(reason) => ConnectError::Certificate(reason),
                None => ConnectError::Tls(error),
            })?;
        Ok(TlsStream::from(stream).into())
    }
}

fn certificate_error(error: &io::Error) -> Option<rustls::CertificateError> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::InvalidCertificate(reason) => Some(reason.clone()),
        _ => None,
    }
}

//! HTTP/1.1 with a client (RFC 9112).

use std::{pin::Pin, rc::Rc};

use hyper::{body::Incoming, server::conn::http1, service::HttpService};

use super::{
    super::{body::Body, wire::Wire},
    Client, Connection,
    activity::Watched,
    entrance::entrance,
    linger::linger,
    patience::Tired,
};

/// The longest head of a request, and what of a body is buffered ahead of a slow upstream, in bytes.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Serves a connection until it is over.
pub(super) async fn serve(client: &Rc<Client>, wire: Wire) -> hyper::Result<()> {
    let wire = Watched::new(wire, client, true);
    let mut connection = http1::Builder::new()
        .max_buf_size(BUFFER_BYTES_MAX)
        .max_header_size(BUFFER_BYTES_MAX) // the same again, since the buffer may grow to more
        .serve_connection(wire, entrance(client));
    let result = client.drive(Pin::new(&mut connection)).await;
    let parts = connection.into_parts();
    let mut wire = parts.io.into_wire();
    let tunnel = client.tunnel.take();
    match (tunnel, client.tired.get()) {
        (Some(tunnel), _) => {
            wire.put_back(parts.read_buf);
            tunnel.run(wire).await;
        }
        (None, Some(Tired::Stuck)) => wire.forgets_what_is_unsent(),
        (None, None) if !client.core.is_closing() => linger(wire).await,
        (None, _) => {}
    }
    result
}

impl<S> Connection for http1::Connection<Watched, S>
where
    S: HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn close_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

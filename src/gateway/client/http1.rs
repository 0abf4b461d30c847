//! HTTP/1.1 with a client (RFC 9112).

use std::{pin::Pin, rc::Rc};

use hyper::{body::Incoming, server::conn::http1, service::HttpService};

use super::{
    super::{body::Body, wire::Wire},
    Client, Connection,
    entrance::entrance,
};

/// The longest head of a request, and what of a body is buffered ahead of a slow upstream, in bytes.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Serves a connection until it is over.
pub(super) async fn serve(client: &Rc<Client>, wire: Wire) -> hyper::Result<()> {
    let mut connection = http1::Builder::new()
        .max_buf_size(BUFFER_BYTES_MAX)
        .max_header_size(BUFFER_BYTES_MAX) // the same again, since the buffer may grow to more
        .serve_connection(wire, entrance(client));
    client.drive(Pin::new(&mut connection)).await?;
    let tunnel = client.tunnel.take();
    if let Some(tunnel) = tunnel {
        let parts = connection.into_parts();
        let mut wire = parts.io;
        wire.put_back(parts.read_buf);
        tunnel.run(wire).await;
    }
    Ok(())
}

impl<S> Connection for http1::Connection<Wire, S>
where
    S: HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn close_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

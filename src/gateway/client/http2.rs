//! HTTP/2 with a client (RFC 9113).

use std::{
    pin::{Pin, pin},
    rc::Rc,
    time::Duration,
};

use hyper::{body::Incoming, rt::bounds::Http2ServerConnExec, server::conn::http2, service::HttpService};
use hyper_util::rt::TokioTimer;

use super::{
    super::{body::Body, local::Local, wire::Wire},
    Client, Connection,
    activity::Watched,
    entrance::entrance,
};

/// How many requests a connection has at once: what other proxies let a client have. Full: the client waits.
const STREAMS_MAX: u32 = 128;
/// The longest list of fields of a request, in bytes, each counted with 32 more (RFC 9113 6.5.2).
const FIELDS_BYTES_MAX: u32 = 64 * 1024;
/// What a client may send of one body, and of all together, ahead of slow upstreams, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What is buffered of a response ahead of a slow client, in bytes.
const SEND_BUFFER: usize = 256 * 1024;
/// How often a client that has requests and is silent is asked whether it is there, and how long its answer may take.
const ASK_EVERY: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Serves a connection until it is over.
pub(super) async fn serve(client: &Rc<Client>, wire: Wire) -> hyper::Result<()> {
    let connection = http2::Builder::new(Local)
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(FIELDS_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(ASK_EVERY)
        .keep_alive_timeout(ANSWER_WITHIN)
        .serve_connection(Watched::new(wire, client, false), entrance(client));
    client.drive(pin!(connection)).await
}

impl<S> Connection for http2::Connection<Watched, S, Local>
where
    S: HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: 'static,
    Local: Http2ServerConnExec<S::Future, Body>,
{
    fn close_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

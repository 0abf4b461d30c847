//! What the control listeners (admin, ops) share: connections with limits and a tidy end, and the frame around every
//! answer ([`around`]). The data plane has a server of its own.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use futures_util::FutureExt as _;
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::Service as _;
use tracing::{debug, warn};

use crate::drain::Tasks;

pub mod around;

/// The most connections at a time. Further ones wait in the accept queue of the kernel.
const CONNECTIONS_MAX: usize = 1024;
/// How long a client may take to send the head of a request, or be idle between two.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// The most bytes of a request head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The pause after a failed accept: out of files, mostly, which only time mends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end of a request's connection. With the request, for whoever asks.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Serves HTTP/1.1 until the tasks are stopped. Then what waits in the accept queue is still served, requests in
/// flight finish (each connection is one of the tasks), and idle connections close.
pub async fn serve(listener: TcpListener, router: Router, tasks: &Tasks) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let next = async || {
        let slot = Arc::clone(&slots).acquire_owned().await;
        (
            slot.expect("the semaphore is never closed"),
            listener.accept().await,
        )
    };
    while let Some((slot, accepted)) = tasks.unless_stopped(next()).await {
        match accepted {
            Ok(accepted) => tasks.spawn(connection(accepted, router.clone(), tasks.clone(), slot)),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    while let Some((slot, Ok(accepted))) = next().now_or_never() {
        tasks.spawn(connection(accepted, router.clone(), tasks.clone(), slot));
    }
}

async fn connection(
    (stream, peer): (TcpStream, SocketAddr),
    router: Router,
    tasks: Tasks,
    _slot: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "the connection keeps Nagle's algorithm");
    }
    let serving = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.clone().call(request) // a router is always ready
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), serving)
    );
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = tasks.stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        debug!(%error, "a connection ended early");
    }
}

//! Backends for tests.

use std::{convert::Infallible, future::ready, net::SocketAddr};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A backend that answers every request alike, for as long as the test runs.
pub struct Upstream {
    addr: SocketAddr,
}

/// What a backend will answer.
pub struct Replying(StatusCode);

impl Upstream {
    /// A backend that answers with this status.
    pub fn replying(status: u16) -> Replying {
        Replying(StatusCode::from_u16(status).unwrap())
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

impl Replying {
    /// Starts it.
    pub async fn start(self) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "ends with the runtime of the test")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut response = Response::new(Full::<Bytes>::from("ok"));
                *response.status_mut() = self.0;
                let answer = service_fn(move |_request| ready(Ok::<_, Infallible>(response.clone())));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        Upstream { addr }
    }
}

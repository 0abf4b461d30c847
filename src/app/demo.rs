//! The demo upstream: a small backend inside `up --demo`, so that the first request has somewhere to go.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use flexgate_schemas::{Upstream, UpstreamId};
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::Error;
use crate::{config::Config, drain::Tasks};

/// How long its requests may take to finish at the end.
const STOP_DEADLINE: Duration = Duration::from_secs(1);

/// A backend that answers every request with what it received.
pub struct Demo {
    addr: SocketAddr,
    tasks: Tasks,
}

impl Demo {
    /// Starts it where the upstream `demo` of the file says; where that port is taken, on another, and lets the file
    /// say that one.
    pub(super) async fn start(config: &mut Config) -> Result<Self, Error> {
        let name: UpstreamId = "demo".parse().expect("a valid name");
        let upstreams = config.file.as_mut().map(|file| &mut file.upstreams);
        let upstream =
            upstreams.and_then(|upstreams| upstreams.iter_mut().find(|upstream| upstream.name == name));
        let wanted = upstream
            .as_ref()
            .and_then(|upstream| loopback(upstream))
            .unwrap_or(([127, 0, 0, 1], 8080).into());
        let listener = match TcpListener::bind(wanted).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((wanted.ip(), 0)).await?,
        };
        let addr = listener.local_addr()?;
        if let Some(upstream) = upstream
            && addr != wanted
        {
            let url = format!("http://{addr}")
                .parse()
                .expect("an address is the URL of an upstream");
            *upstream = Upstream {
                targets: flexgate_schemas::upstream::Targets::one(url),
                ..upstream.clone()
            };
        }
        let tasks = Tasks::new();
        tasks.spawn(serve(listener, tasks.clone()));
        Ok(Self { addr, tasks })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends it.
    pub async fn stop(self) {
        self.tasks.stop(STOP_DEADLINE).await;
    }
}

fn loopback(upstream: &Upstream) -> Option<SocketAddr> {
    let url = &upstream.targets.as_slice().first()?.url;
    let host = url.host().trim_matches(['[', ']']);
    let ip = if host == "localhost" {
        [127, 0, 0, 1].into()
    } else {
        host.parse().ok()?
    };
    Some(SocketAddr::new(ip, url.port())).filter(|addr| addr.ip().is_loopback())
}

async fn serve(listener: TcpListener, tasks: Tasks) {
    while let Some(accepted) = tasks.unless_stopped(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                let (connection, tasks) = (connection(stream), tasks.clone());
                tasks.clone().spawn(async move {
                    tasks.unless_stopped(connection).await;
                });
            }
            // Out of files, mostly: time mends it.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(stream: TcpStream) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service_fn(echo));
    if let Err(error) = serving.await {
        tracing::debug!(%error, "a connection to the demo upstream ended early");
    }
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = |value: &http::HeaderValue| Value::from(String::from_utf8_lossy(value.as_bytes()));
    let headers: Map<String, Value> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    let answer = json!({
        "upstream": "demo",
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "query": request.uri().query(),
        "headers": headers,
    });
    let mut response = Response::new(Full::from(format!("{answer:#}\n")));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

//! A small HTTP client for tests: one connection per request, or one that is kept.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::fixtures::PATIENCE;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }
}

/// A connection that is kept.
pub struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    /// Connects.
    pub async fn open(addr: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let (send, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        #[expect(clippy::disallowed_methods, reason = "ends with its connection")]
        tokio::spawn(connection);
        Ok(Self(send))
    }

    /// Sends a request and reads the head of the answer.
    pub async fn begin(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error> {
        self.0.ready().await?;
        self.0.send_request(request).await
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        let (head, body) = self.begin(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// Sends a GET.
    pub async fn get(&mut self, path: &str) -> Result<Answer, hyper::Error> {
        self.send(request(Method::GET, path, None)).await
    }
}

/// A GET over a connection of its own.
pub async fn get(addr: SocketAddr, path: &str) -> Answer {
    let asking = async { Connection::open(addr).await.unwrap().get(path).await.unwrap() };
    tokio::time::timeout(PATIENCE, asking).await.expect("an answer")
}

/// The admin API of a process, opened by its token.
pub struct Admin {
    pub addr: SocketAddr,
    pub token: String,
}

impl Admin {
    /// Sends JSON, or nothing, and reads the answer.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.call_with(method, path, body, []).await
    }

    /// The same, with more headers; without credentials, if the token is empty.
    pub async fn call_with(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: impl IntoIterator<Item = (&'static str, &str)>,
    ) -> Answer {
        let mut request = request(method, path, body);
        if !self.token.is_empty() {
            let bearer = format!("Bearer {}", self.token).parse().unwrap();
            request.headers_mut().insert("authorization", bearer);
        }
        for (name, value) in headers {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let asking = async {
            Connection::open(self.addr)
                .await
                .unwrap()
                .send(request)
                .await
                .unwrap()
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("an answer")
    }
}

fn request(method: Method, path: &str, body: Option<Value>) -> Request<Full<Bytes>> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost");
    match body {
        None => request.body(Full::default()).unwrap(),
        Some(json) => {
            let request = request.header("content-type", "application/json");
            request.body(Full::from(json.to_string())).unwrap()
        }
    }
}

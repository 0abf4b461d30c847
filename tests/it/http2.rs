//! HTTP/2 on both sides of a gateway: a client that speaks it with prior knowledge, and a backend that does.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2::{SendRequest, handshake},
    server::conn::http2::Builder,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::AbortHandle,
    time::timeout,
};

use crate::fixtures::PATIENCE;

/// The body of a message.
pub type Body = BoxBody<Bytes, Infallible>;

/// A whole body of known length.
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}

/// A body of these pieces, with trailers.
pub fn with_trailers(pieces: &[&'static str], trailers: HeaderMap) -> Body {
    let pieces = pieces
        .iter()
        .map(|piece| Frame::data(Bytes::from_static(piece.as_bytes())));
    let frames: Vec<_> = pieces.chain([Frame::trailers(trailers)]).map(Ok).collect();
    BoxBody::new(StreamBody::new(futures_util::stream::iter(frames)))
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

impl Answer {
    /// Reads an answer to its end.
    pub async fn read(response: Response<Incoming>) -> hyper::Result<Self> {
        let (head, body) = response.into_parts();
        let body = body.collect().await?;
        Ok(Self {
            status: head.status,
            headers: head.headers,
            trailers: body.trailers().cloned().unwrap_or_default(),
            body: body.to_bytes(),
        })
    }
}

/// A client's connection. Clones share it.
#[derive(Clone)]
pub struct Client(SendRequest<Body>);

impl Client {
    /// Connects, with prior knowledge.
    pub async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (send, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        #[expect(clippy::disallowed_methods, reason = "ends with its connection")]
        tokio::spawn(connection);
        Self(send)
    }

    /// Sends a request and reads the head of the answer.
    pub async fn begin(&self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        let mut send = self.0.clone();
        timeout(PATIENCE, send.send_request(request))
            .await
            .expect("an answer")
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: Request<Body>) -> hyper::Result<Answer> {
        Answer::read(self.begin(request).await?).await
    }

    /// A GET for a path of the host `shop.test`.
    pub async fn get(&self, path: &str) -> hyper::Result<Answer> {
        let uri = format!("http://shop.test{path}");
        self.send(Request::get(uri).body(whole("")).unwrap()).await
    }

    /// Whether the connection is over.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// A backend that answers every request with its own body and trailers, and remembers the heads.
pub struct Backend {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Parts>>>,
    connections: Arc<AtomicUsize>,
    open: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Backend {
    /// Starts it. Requests for `/held` wait until the gate is opened.
    pub async fn start(gate: Arc<Notify>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (seen, connections) = (Arc::<Mutex<Vec<Parts>>>::default(), Arc::<AtomicUsize>::default());
        let open = Arc::<Mutex<Vec<AbortHandle>>>::default();
        let (remembered, counted, kept) = (Arc::clone(&seen), Arc::clone(&connections), Arc::clone(&open));
        #[expect(clippy::disallowed_methods, reason = "ends with its test")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let (seen, gate) = (Arc::clone(&remembered), Arc::clone(&gate));
                let service = service_fn(move |request| echo(request, Arc::clone(&seen), Arc::clone(&gate)));
                let serving =
                    Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
                kept.lock().unwrap().push(tokio::spawn(serving).abort_handle());
            }
        });
        Self {
            addr,
            seen,
            connections,
            open,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The heads of the requests so far, in order.
    pub fn seen(&self) -> Vec<Parts> {
        self.seen.lock().unwrap().clone()
    }

    /// Closes every connection, without a word.
    pub fn break_connections(&self) {
        for connection in self.open.lock().unwrap().drain(..) {
            connection.abort();
        }
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn echo(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<Parts>>>,
    gate: Arc<Notify>,
) -> Result<Response<Body>, hyper::Error> {
    let (head, body) = request.into_parts();
    let is_held = head.uri.path() == "/held";
    seen.lock().unwrap().push(head);
    if is_held {
        gate.notified().await;
    }
    let body = body.collect().await?;
    let trailers = body.trailers().cloned();
    let data = Some(body.to_bytes()).filter(|bytes| !bytes.is_empty());
    let frames = data
        .map(Frame::data)
        .into_iter()
        .chain(trailers.map(Frame::trailers))
        .map(Ok);
    let echoed = StreamBody::new(futures_util::stream::iter(frames.collect::<Vec<_>>()));
    Ok(Response::new(BoxBody::new(echoed)))
}

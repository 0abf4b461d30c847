//! One client's connection, from the accepted socket to its close.

use std::{
    cell::{Cell, OnceCell, RefCell},
    convert::Infallible,
    future::poll_fn,
    net::IpAddr,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use http::{HeaderValue, Request, Response};
use hyper::{body::Incoming, server::conn::http1};
use tokio::net::TcpStream;
use tower::Service;

use super::{alarm::Alarm, body::Body, core::Core, metrics::count_refusal, stack::stack, wire::Wire};

/// The longest head of a request, and what of a body is buffered ahead of a slow upstream, in bytes.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// How long a connection that had no request yet is waited for when the gateway closes: it may just have been taken from
/// the queue.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// A client's connection, as its requests see it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) core: Rc<Core>,
    pub(super) address: IpAddr,
    /// The same, as a field's value.
    pub(super) address_text: HeaderValue,
    /// Everything that the connection waits for, it waits for one after the other.
    pub(super) alarm: Alarm,
    /// Since when it has no request; none while it has one.
    resting_since: Cell<Option<Instant>>,
    had_request: Cell<bool>,
    task: OnceCell<Waker>,
}

impl Client {
    /// A connection just accepted.
    pub(super) fn new(core: Rc<Core>, address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self {
            core,
            address,
            address_text: HeaderValue::try_from(address.to_string()).expect("an address is visible ASCII"),
            alarm: Alarm::new(),
            resting_since: Cell::new(Some(Instant::now())),
            had_request: Cell::new(false),
            task: OnceCell::new(),
        }
    }

    /// A request came.
    pub(super) fn is_busy(&self) {
        self.resting_since.set(None);
        self.had_request.set(true);
    }

    /// The request is over.
    pub(super) fn rests_from(&self, now: Instant) {
        self.resting_since.set(Some(now));
    }

    /// Its task, which every part of it runs in.
    pub(super) fn task(&self) -> &Waker {
        self.task.get().unwrap_or(Waker::noop()) // known since the first poll, and before it there is no request
    }

    /// Lets the connection look around: the gateway is closing.
    pub(super) fn wake(&self) {
        self.task().wake_by_ref();
    }

    /// Ready when it rested too long: no head of a request was complete in time.
    fn poll_tired(&self, cx: &mut Context<'_>) -> Poll<()> {
        let rest = if self.core.is_closing() {
            FIRST_REQUEST
        } else {
            self.core.client_rest
        };
        match self.resting_since.get() {
            Some(since) => self.alarm.poll(cx, since + rest),
            None => Poll::Pending,
        }
    }
}

/// Serves a connection until it is over.
pub(super) async fn serve(client: Rc<Client>, stream: TcpStream) {
    let entrance = Entrance(RefCell::new(stack(Rc::clone(&client))));
    let mut connection = pin!(
        http1::Builder::new()
            .max_buf_size(BUFFER_BYTES_MAX)
            .max_header_size(BUFFER_BYTES_MAX) // the same again, since the buffer may grow to more
            .serve_connection(Wire::from(stream), entrance)
    );
    let mut told_to_close = false;
    let result = poll_fn(|cx| {
        let _ = client.task.get_or_init(|| cx.waker().clone());
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            // Polled first: a request that is here already is served, and its response says that it is the last.
            if !client.core.is_closing() || !client.had_request.get() || told_to_close {
                return client.poll_tired(cx).map(Ok);
            }
            connection.as_mut().graceful_shutdown();
            told_to_close = true;
        }
    })
    .await;
    if let Err(error) = result {
        if error.is_parse() {
            count_refusal("bad_request_head");
        }
        tracing::debug!(client = %client.address, %error, "a connection of a client broke");
    }
}

/// Where hyper hands requests to the stack.
struct Entrance<S>(RefCell<S>);

impl<S> hyper::service::Service<Request<Incoming>> for Entrance<S>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = S::Future;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.0.borrow_mut().call(request)
    }
}

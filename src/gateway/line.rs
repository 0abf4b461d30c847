//! Lines: connections to upstreams, one request at a time.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{Builder, Connection, SendRequest},
    },
    rt::{Read, ReadBufCursor, Write},
};

use super::{far_end::FarEnd, request_body::RequestBody, wire::Wire};

/// The longest head of a response, and what of a body is buffered ahead of a slow client, in bytes.
const BUFFER_BYTES_MAX: usize = 128 * 1024;

/// A connection to an upstream. Nothing runs in the background: whoever holds the line drives it, in the task of the
/// client's own connection, so that an answer wakes one task and not two.
pub(super) struct Line {
    pub(super) end: FarEnd,
    /// For how many ticks it may rest; less when the upstream said so.
    pub(super) rest_ticks: u32,
    /// The tick at which it came to rest.
    pub(super) rested_at: u32,
    /// Whether an answer came through it before.
    pub(super) used: bool,
    sender: SendRequest<RequestBody>,
    driver: Connection<Tied, RequestBody>,
    /// The task that drives it.
    task: Rc<RefCell<Waker>>,
    pulse: Arc<Pulse>,
    /// The same, as hyper takes it.
    hyper: Waker,
}

/// Why no answer came.
#[derive(Debug)]
pub(super) enum Lost {
    /// The line was dead before the request was written: here it is again, untouched.
    Unsent(Box<Request<RequestBody>>),
    /// The upstream may have seen it.
    Sent(hyper::Error),
}

impl From<TrySendError<Request<RequestBody>>> for Lost {
    fn from(mut lost: TrySendError<Request<RequestBody>>) -> Self {
        match lost.take_message() {
            Some(request) => Self::Unsent(Box::new(request)),
            None => Self::Sent(lost.into_error()),
        }
    }
}

impl Line {
    /// Takes a fresh connection into use.
    pub(super) async fn open(end: FarEnd, wire: Wire, rest_ticks: u32) -> hyper::Result<Self> {
        let task = Rc::new(RefCell::new(Waker::noop().clone()));
        let tied = Tied {
            wire,
            task: Rc::clone(&task),
        };
        let (sender, driver) = Builder::new()
            .max_buf_size(BUFFER_BYTES_MAX)
            .handshake(tied)
            .await?;
        let pulse = Arc::<Pulse>::default();
        Ok(Self {
            end,
            rest_ticks,
            rested_at: 0,
            used: false,
            sender,
            driver,
            task,
            hyper: Arc::clone(&pulse).into(),
            pulse,
        })
    }

    /// Sends a request. Its answer comes to whoever goes on polling [`Line::poll_answer`] with what this returns.
    pub(super) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, Lost>> + use<> {
        let answer = self.sender.try_send_request(request);
        async move { answer.await.map_err(Lost::from) }
    }

    /// Drives the line; ready when it is over and must be dropped.
    pub(super) fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.task.borrow_mut().clone_from(cx.waker()); // nothing is cloned when it is the same task as before
        self.pulse.0.store(false, Ordering::Relaxed);
        let polled = Pin::new(&mut self.driver).poll(&mut Context::from_waker(&self.hyper));
        if polled.is_pending() && self.pulse.0.load(Ordering::Relaxed) {
            cx.waker().wake_by_ref(); // it stopped half-way, to let others have their turn
        }
        polled.map(|result| {
            if let Err(error) = result {
                tracing::debug!(origin = %self.end.origin.host, %error, "a connection to an upstream broke");
            }
        })
    }

    /// What is left when the upstream has switched to another protocol: the bare wire, with what came on it already.
    pub(super) fn into_wire(self) -> Wire {
        let parts = self.driver.into_parts();
        let mut wire = parts.io.wire;
        wire.put_back(parts.read_buf);
        wire
    }

    /// Whether the last exchange is over, in both directions, and the upstream did not ask to close.
    pub(super) fn is_free(&self) -> bool {
        self.sender.is_ready()
    }

    /// The upstream keeps it for so long. It is left alone a second earlier, so that no request meets the close.
    pub(super) fn rest_at_most(&mut self, seconds: u32) {
        self.rest_ticks = self.rest_ticks.min(seconds.saturating_sub(1));
    }

    /// Whether it can be used again, as far as one can tell without sending anything.
    pub(super) fn is_alive(&mut self) -> bool {
        // A line that rests wakes nobody.
        self.poll_drive(&mut Context::from_waker(Waker::noop()))
            .is_pending()
            && self.is_free()
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Line({} at {})", self.end.origin.host, self.end.address)
    }
}

/// Tells apart who is woken for what: the wire wakes the task that drives the line, hyper's own parts only say that they
/// want to be driven again. They say so for every piece of a body that is taken, long after they are done; passed on to
/// the task, that would poll the client's connection once more for every response.
#[derive(Debug, Default)]
struct Pulse(AtomicBool);

impl Wake for Pulse {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed); // set and read by one thread
    }
}

/// The wire of a line. Whatever context it is polled in, it wakes the task that drives the line now.
struct Tied {
    wire: Wire,
    task: Rc<RefCell<Waker>>,
}

impl Tied {
    fn poll<T>(&mut self, poll: impl FnOnce(Pin<&mut Wire>, &mut Context<'_>) -> Poll<T>) -> Poll<T> {
        poll(
            Pin::new(&mut self.wire),
            &mut Context::from_waker(&self.task.borrow()),
        )
    }
}

impl Read for Tied {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().poll(|wire, cx| wire.poll_read(cx, buffer))
    }
}

impl Write for Tied {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll(|wire, cx| wire.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll(Write::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll(Write::poll_shutdown)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll(|wire, cx| wire.poll_write_vectored(cx, pieces))
    }
}

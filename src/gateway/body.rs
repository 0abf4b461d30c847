//! Bodies of responses: passed on piece by piece as the client takes them, never gathered.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use bytes::Bytes;
use http::Method;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::{
    encoded::Encoded,
    encoder::{Encoder, Slot},
    errand::Way,
    exchange::{Ending, Exchange},
    observe::Observation,
    tunnel::Tunnel,
    wire::Wire,
};

/// Why a body does not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// What comes is no body, or it broke off.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    /// It is longer than may be.
    #[error("the body is longer than may be")]
    TooLarge,
    /// It is not the one that was signed.
    #[error("the body is not the one that was signed")]
    Forged,
    /// Nothing came for too long.
    #[error("the body did not go on")]
    Stalled,
}

pub(super) type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// The body of a response, on its way to a client. As long as it exists, the request is not over.
#[derive(Debug)]
pub(super) struct Body {
    content: Content,
    observation: Option<Observation>,
    /// Since when there is nothing to pass on; none while there is.
    pauses_since: Option<Instant>,
}

#[derive(Debug)]
enum Content {
    /// The gateway's own words.
    Own(Bytes),
    /// What an upstream sends.
    Streamed {
        incoming: Incoming,
        lease: Option<Lease>,
    },
    /// The same in another coding.
    Encoded(Box<Encoded>),
    /// Nothing: the connection goes on in another protocol, to this upstream.
    Switching(Option<Box<Wire>>),
    /// What an upstream sent, until it broke off.
    BrokenOff(Option<BodyError>),
}

/// What is needed until the body is through.
#[derive(Debug)]
struct Lease {
    way: Way,
    exchange: Rc<Exchange>,
}

impl Lease {
    /// Puts the line into the pool if nothing more is to come on it.
    fn end_if_free(self) -> Option<Self> {
        match self.way {
            Way::Line(line) if line.is_free() => {
                self.exchange.client.core.pool.give(line);
                None
            }
            _ => Some(self),
        }
    }
}

impl Body {
    /// A body that is there already, perhaps empty.
    pub(super) fn own(bytes: Bytes) -> Self {
        Self {
            content: Content::Own(bytes),
            observation: None,
            pauses_since: None,
        }
    }

    /// A body that an upstream sends. A small one is often there in whole with the head; its line is free at once.
    pub(super) fn streamed(incoming: Incoming, way: Option<Way>, exchange: &Rc<Exchange>) -> Self {
        let lease = way.map(|way| Lease {
            way,
            exchange: Rc::clone(exchange),
        });
        let lease = lease.and_then(Lease::end_if_free);
        Self {
            content: Content::Streamed { incoming, lease },
            observation: None,
            pauses_since: None,
        }
    }

    /// This body, which nobody observes yet, in another coding.
    pub(super) fn encoded(self, encoder: Encoder, slot: Slot) -> Self {
        Self {
            content: Content::Encoded(Box::new(Encoded::new(self, encoder, slot))),
            observation: None,
            pauses_since: None,
        }
    }

    /// No body, but a tunnel to this upstream, which begins when the client was told.
    pub(super) fn switching(upstream: Wire) -> Self {
        Self {
            content: Content::Switching(Some(Box::new(upstream))),
            observation: None,
            pauses_since: None,
        }
    }

    /// hyper closes the connection at once when a body fails, and what it has not written yet is lost. So the failure
    /// waits for one round, in which the client gets what did arrive.
    fn break_off(&mut self, error: BodyError, cx: &Context<'_>) -> Polled {
        if matches!(self.content, Content::BrokenOff(_)) {
            return Poll::Ready(Some(Err(error)));
        }
        self.ends(match &error {
            BodyError::Stalled => Ending::Stalled,
            _ => Ending::BrokenOff,
        });
        self.content = Content::BrokenOff(Some(error));
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether nothing came for longer than may be. hyper asks only for what the client takes, so that a slow client is no
    /// pause of the upstream.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(observation) = &self.observation else {
            return Poll::Pending;
        };
        let exchange = observation.exchange();
        loop {
            let since = *self.pauses_since.get_or_insert_with(Instant::now);
            ready!(exchange.strand.alarm.poll(cx, since + exchange.pause_max()));
            if !exchange.upload_moved.replace(false) {
                return Poll::Ready(());
            }
            self.pauses_since = None; // an upstream may well listen before it goes on
        }
    }

    /// Ends the observation together with the body.
    pub(super) fn observed(mut self, observation: Observation) -> Self {
        if let Content::Switching(upstream) = &mut self.content
            && let Some(upstream) = upstream.take()
        {
            let client = Rc::clone(&observation.exchange().client);
            client.switches(Tunnel::new(*upstream, observation));
            return self;
        }
        // hyper asks for nothing where there is nothing to send.
        let is_whole = self.is_end_stream() || observation.exchange().method == Method::HEAD;
        self.observation = Some(observation);
        if is_whole {
            self.ends(Ending::Whole);
        }
        self
    }

    fn ends(&self, ending: Ending) {
        if let Some(observation) = &self.observation {
            observation.exchange().ending.set(ending);
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let polled = match &mut self.content {
            Content::Own(bytes) => {
                let rest = std::mem::take(bytes);
                Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest))))
            }
            Content::Streamed { incoming, lease } => {
                poll_streamed(incoming, lease, cx).map_err(BodyError::Broken)
            }
            Content::Encoded(encoded) => encoded.poll_frame(cx),
            Content::Switching(_) => Poll::Ready(None),
            Content::BrokenOff(error) => Poll::Ready(error.take().map(Err)),
        };
        if let Poll::Ready(Some(Err(error))) = polled {
            return self.break_off(error, cx);
        }
        if polled.is_pending() {
            return match self.poll_stalled(cx) {
                Poll::Ready(()) => self.break_off(BodyError::Stalled, cx),
                Poll::Pending => Poll::Pending,
            };
        }
        self.pauses_since = None;
        if let (Poll::Ready(frame), Some(observation)) = (&polled, &self.observation) {
            let frame = frame.as_ref().and_then(|frame| frame.as_ref().ok());
            let data = frame.and_then(Frame::data_ref);
            observation.exchange().count_out(data.map_or(0, Bytes::len));
            if frame.is_none_or(Frame::is_trailers) || self.is_end_stream() {
                self.ends(Ending::Whole);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Own(bytes) => bytes.is_empty(),
            Content::Streamed { incoming, .. } => incoming.is_end_stream(),
            Content::Encoded(encoded) => encoded.is_end_stream(),
            Content::Switching(_) => true,
            Content::BrokenOff(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Streamed { incoming, .. } => incoming.size_hint(),
            Content::Switching(_) => SizeHint::with_exact(0),
            Content::Encoded(_) | Content::BrokenOff(_) => SizeHint::default(),
        }
    }
}

/// The next piece: one that is there already, or else one that the line brings when it is driven.
fn poll_streamed(
    incoming: &mut Incoming,
    lease: &mut Option<Lease>,
    cx: &mut Context<'_>,
) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
    let Some(Lease {
        way: Way::Line(line), ..
    }) = lease
    else {
        return Pin::new(incoming).poll_frame(cx);
    };
    // Only driving the line brings anything, and that is done here: let the line wake the task, and not a second time
    // the channel between the two.
    let mut silent = Context::from_waker(Waker::noop());
    let mut polled = Pin::new(&mut *incoming).poll_frame(&mut silent);
    if polled.is_pending() {
        if line.poll_drive(cx).is_ready() {
            *lease = None;
            return Pin::new(incoming).poll_frame(cx);
        }
        polled = Pin::new(&mut *incoming).poll_frame(&mut silent);
    }
    let over = match &polled {
        Poll::Ready(Some(Ok(_))) => incoming.is_end_stream(),
        Poll::Ready(_) => true,
        Poll::Pending => false,
    };
    if over && let Some(lease) = lease.take() {
        drop(lease.end_if_free()); // not free after all: the request is still being sent, or the upstream wants to close
    }
    polled
}

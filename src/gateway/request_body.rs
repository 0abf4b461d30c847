//! Bodies of requests, on their way to an upstream: passed on piece by piece as the upstream takes them, or held already.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, SizeHint};
use hyper::body::Incoming;

use super::{
    body::{BodyError, Polled},
    exchange::{Exchange, Upload},
    held::Held,
    proof::Proof,
};

/// Where a body is.
#[derive(Debug)]
pub(super) enum Source {
    /// There is none.
    Nothing,
    /// With the client, who sends it as it is asked for.
    Client(Incoming),
    /// Here.
    Held(Box<Held>),
}

impl Source {
    /// Whether there is nothing to send.
    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Client(incoming) => incoming.is_end_stream(),
            Self::Held(held) => held.is_end_stream(),
        }
    }

    /// How long it is, as far as that is known.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Client(incoming) => incoming.size_hint(),
            Self::Held(held) => held.size_hint(),
        }
    }
}

/// The body of a request, as whoever reads it sees it.
#[derive(Debug)]
pub(super) struct RequestBody {
    source: Source,
    exchange: Rc<Exchange>,
    /// What it must come to, if it was signed.
    proof: Option<Box<Proof>>,
    /// Whether the request's own task drives the connection that it goes over.
    pub(super) is_driven_here: bool,
}

impl RequestBody {
    /// Nothing is read from the client before this is polled: as a rule when the head was written to an upstream. That is
    /// also when a client that sent `Expect: 100-continue` is told to go on.
    pub(super) fn new(source: Source, exchange: Rc<Exchange>) -> Self {
        let is_clients = matches!(source, Source::Client(_));
        let digest = is_clients.then(|| exchange.body_digest.take()).flatten();
        Self {
            source,
            exchange,
            proof: digest.map(Proof::new),
            is_driven_here: true,
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let Self {
            source,
            exchange,
            proof,
            is_driven_here,
        } = self.get_mut();
        let incoming = match source {
            Source::Client(incoming) => incoming,
            Source::Held(held) => return Poll::Ready(held.next_frame().map(Ok)),
            Source::Nothing => return Poll::Ready(None),
        };
        let Some(proof) = proof else {
            return poll_client(incoming, exchange, *is_driven_here, cx);
        };
        loop {
            if let Some(known) = proof.known() {
                return Poll::Ready(known);
            }
            let polled = ready!(poll_client(incoming, exchange, *is_driven_here, cx));
            let Some(frame) = polled.transpose()? else {
                proof.ends(exchange);
                continue;
            };
            if let Ok(data) = frame.into_data() {
                proof.takes(data);
            } // what a trailer says was not signed
            if incoming.is_end_stream() {
                proof.ends(exchange);
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.proof {
            Some(proof) => proof.is_through(&self.source),
            None => self.source.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.source.size_hint()
    }
}

/// The next piece of what the client sends.
fn poll_client(
    incoming: &mut Incoming,
    exchange: &Exchange,
    is_driven_here: bool,
    cx: &mut Context<'_>,
) -> Polled {
    let polled = if is_driven_here {
        // A line wakes its task only for what its wire does; what the client sends has to do so itself.
        Pin::new(incoming).poll_frame(&mut Context::from_waker(exchange.strand.task()))
    } else {
        Pin::new(incoming).poll_frame(cx)
    };
    let upload = match &polled {
        Poll::Pending => Upload::AwaitsClient,
        Poll::Ready(Some(Ok(frame))) => {
            exchange.count_in(frame.data_ref().map_or(0, Bytes::len));
            exchange.upload_moved.set(true);
            if exchange.bytes_in() > exchange.body_max.get() {
                exchange.upload.set(Upload::TooLarge);
                return Poll::Ready(Some(Err(BodyError::TooLarge))); // which the upstream takes for no body
            }
            Upload::Moving
        }
        Poll::Ready(Some(Err(_))) => Upload::Broken,
        Poll::Ready(None) => Upload::Over,
    };
    exchange.upload.set(upload);
    polled.map_err(BodyError::Broken)
}

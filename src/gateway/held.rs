//! Bodies of requests that are held in memory, because somebody has to have seen all of one before anybody gets any of it.

use std::{
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};

use super::{
    authenticate::Denied,
    body::BodyError,
    exchange::Exchange,
    refusal::{Invalid, Refusal},
    request_body::{RequestBody, Source},
    signature::SignatureFault,
};

/// The most bytes of bodies that a node holds, on all cores together: four of the longest that may be held at all. Full:
/// what would have to be held is refused with 503.
const HELD_BYTES_MAX: usize = 64 << 20;
/// What is made ready for a body that says that it is longer, in bytes: saying so costs a client nothing.
const ROOM_AHEAD: u64 = 64 * 1024;

/// Where they are held: what a node has room for.
#[derive(Debug)]
pub(super) struct Shelf {
    /// In bytes.
    room: AtomicUsize,
}

/// A body that is here in whole, or will be.
#[derive(Debug)]
pub(super) struct Held {
    bytes: Bytes,
    trailers: Option<HeaderMap>,
    _place: Place,
}

/// Room on a shelf, given back when it is dropped.
#[derive(Debug)]
struct Place {
    shelf: Arc<Shelf>,
    bytes: usize,
}

impl Shelf {
    /// An empty one.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            room: AtomicUsize::new(HELD_BYTES_MAX),
        })
    }

    /// How many bytes are held.
    pub(super) fn bytes(&self) -> usize {
        HELD_BYTES_MAX - self.room.load(Ordering::Relaxed)
    }

    fn place(self: &Arc<Self>) -> Place {
        Place {
            shelf: Arc::clone(self),
            bytes: 0,
        }
    }
}

impl Place {
    /// Takes so many bytes more, if there is room for them.
    fn grow(&mut self, bytes: usize) -> bool {
        let take = |room: usize| room.checked_sub(bytes);
        let room = &self.shelf.room;
        let taken = room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if taken.is_ok() {
            self.bytes += bytes;
        }
        taken.is_ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shelf.room.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

impl Held {
    /// Takes all of a body in, which may have so many bytes. The client is told to go on if it waits for that, and may pause
    /// for as long as within any body.
    pub(super) async fn gather(source: Source, exchange: &Rc<Exchange>, max: u64) -> Result<Self, Refusal> {
        exchange.body_max.set(max.min(exchange.body_max.get()));
        let room_ahead = source.size_hint().lower().min(ROOM_AHEAD);
        let mut bytes = Vec::with_capacity(usize::try_from(room_ahead).unwrap_or_default());
        let mut trailers = None;
        let mut place = exchange.client.core.shelf.place();
        let mut body = RequestBody::new(source, Rc::clone(exchange));
        body.is_driven_here = false;
        while let Some(frame) = next(&mut body, exchange).await? {
            match frame.into_data() {
                // Copied, since a piece keeps all that was read together with it, be it ever so small.
                Ok(data) if place.grow(data.len()) => bytes.extend_from_slice(&data),
                Ok(_) => return Err(Refusal::Invalid(Invalid::Overloaded)),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        exchange.upload_moved.set(false); // what the upstream has of it is another matter
        Ok(Self {
            bytes: bytes.into(),
            trailers,
            _place: place,
        })
    }

    /// What it is.
    pub(super) fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// The next frame: all of it, and then its trailers.
    pub(super) fn next_frame(&mut self) -> Option<Frame<Bytes>> {
        if self.bytes.is_empty() {
            return self.trailers.take().map(Frame::trailers);
        }
        Some(Frame::data(std::mem::take(&mut self.bytes)))
    }

    /// Whether nothing is left to come.
    pub(super) fn is_end_stream(&self) -> bool {
        self.bytes.is_empty() && self.trailers.is_none()
    }

    /// How long it is. With trailers it is said to be longer perhaps, since what says its length has none (RFC 9112 7.1.2).
    pub(super) fn size_hint(&self) -> SizeHint {
        let length = self.bytes.len() as u64;
        if self.trailers.is_none() {
            return SizeHint::with_exact(length);
        }
        let mut hint = SizeHint::new();
        hint.set_lower(length);
        hint
    }
}

/// The next frame of a body that its client sends.
async fn next(body: &mut RequestBody, exchange: &Exchange) -> Result<Option<Frame<Bytes>>, Refusal> {
    let mut pauses_since = None;
    poll_fn(|cx| {
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
            return Poll::Ready(frame.transpose().map_err(|error| match error {
                BodyError::TooLarge => Refusal::BodyTooLarge,
                BodyError::Forged => Refusal::Denied(Denied::Signature(SignatureFault::Body)),
                BodyError::Broken(_) | BodyError::Stalled => Refusal::BadBody,
            }));
        }
        let since = *pauses_since.get_or_insert_with(Instant::now);
        let alarm = &exchange.strand.alarm;
        ready!(alarm.poll(cx, since + exchange.upload_pause_max()));
        Poll::Ready(Err(Refusal::BodyTimeout))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shelf_has_room_for_so_much_and_gets_it_back() {
        let shelf = Shelf::new();
        let (mut first, mut second) = (shelf.place(), shelf.place());
        assert!(first.grow(HELD_BYTES_MAX - 1) && second.grow(1));
        assert!(!first.grow(1) && !second.grow(1));
        drop(first);
        assert!(second.grow(HELD_BYTES_MAX - 1) && !second.grow(1));
        assert_eq!(shelf.bytes(), HELD_BYTES_MAX);
        drop(second);
        assert_eq!(shelf.room.load(Ordering::Relaxed), HELD_BYTES_MAX);
    }
}

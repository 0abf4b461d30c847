//! The body of a response, encoded piece by piece as the client takes it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as _, Frame};

use super::{
    body::{Body, Polled},
    encoder::{Encoder, Slot},
};

/// How much is encoded at a time, in bytes: 0.2 ms of work.
const PIECE_BYTES: usize = 16 * 1024;
/// How much is encoded before others on the core have a turn, in bytes, however fast upstream and client are.
const TURN_BYTES: usize = 2 * PIECE_BYTES;
/// Below this what came out waits for more, unless the upstream has no more right now.
const FRAME_BYTES_MIN: usize = 4 * 1024;

/// A body on its way through an encoder. Nothing is asked of the source before the client took what there is, and nothing
/// is held back that the client could have while the upstream pauses.
#[derive(Debug)]
pub(super) struct Encoded {
    source: Body,
    /// None when everything came out.
    encoder: Option<Encoder>,
    /// What the source gave and the encoder did not take yet.
    input: Bytes,
    /// Whether the encoder has something that did not come out.
    holds: bool,
    /// How much may be encoded until others have a turn.
    turn: usize,
    trailers: Option<Frame<Bytes>>,
    slot: Option<Slot>,
}

impl Encoded {
    /// The encoded form of this body.
    pub(super) fn new(source: Body, encoder: Encoder, slot: Slot) -> Self {
        Self {
            source,
            encoder: Some(encoder),
            input: Bytes::new(),
            holds: false,
            turn: TURN_BYTES,
            trailers: None,
            slot: Some(slot),
        }
    }

    /// Whether nothing is left to come.
    pub(super) fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }

    /// The next frame.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        let Some(encoder) = &mut self.encoder else {
            return Poll::Ready(self.trailers.take().map(Ok));
        };
        loop {
            if !self.input.is_empty() {
                if self.turn == 0 {
                    self.turn = TURN_BYTES;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let piece = self.input.split_to(self.input.len().min(PIECE_BYTES));
                self.turn = self.turn.saturating_sub(piece.len());
                encoder.write(&piece);
                self.holds = true;
                if let Some(output) = encoder.take(FRAME_BYTES_MIN) {
                    return data(output);
                }
                continue;
            }
            match Pin::new(&mut self.source).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.input = data,
                    Err(trailers) => {
                        self.trailers = Some(trailers);
                        return self.finish();
                    }
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return self.finish(),
                Poll::Pending => {
                    self.turn = TURN_BYTES; // others have theirs now
                    if !std::mem::take(&mut self.holds) {
                        return Poll::Pending;
                    }
                    encoder.flush();
                    return encoder.take(0).map_or(Poll::Pending, data);
                }
            }
        }
    }

    fn finish(&mut self) -> Polled {
        self.slot = None;
        match self.encoder.take().map(Encoder::finish) {
            Some(rest) if !rest.is_empty() => data(rest),
            _ => Poll::Ready(self.trailers.take().map(Ok)),
        }
    }
}

fn data(bytes: Vec<u8>) -> Polled {
    Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Wake, Waker},
    };

    use flexgate_schemas::compression::Coding;
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::gateway::encoder::Encoders;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn encoded(body: Vec<u8>, coding: Coding) -> Encoded {
        let slot = Encoders::default().take().unwrap();
        Encoded::new(Body::own(body.into()), Encoder::new(coding).unwrap(), slot)
    }

    /// Bytes that no encoder makes fewer.
    fn noise(length: usize) -> Vec<u8> {
        let step = |state: &mut u64| {
            *state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            Some(state.to_be_bytes()[0])
        };
        std::iter::repeat_n((), length)
            .scan(1, |state, ()| step(state))
            .collect()
    }

    #[test]
    fn only_as_much_is_encoded_as_the_client_takes() {
        let mut encoded = encoded(noise(1_000_000), Coding::Gzip);
        let mut cx = Context::from_waker(Waker::noop());
        while encoded.poll_frame(&mut cx).is_pending() {}
        assert!(encoded.input.len() >= 900_000, "{}", encoded.input.len());
    }

    #[test]
    fn others_have_a_turn_however_much_there_is() {
        let mut encoded = encoded(vec![0; 1_000_000], Coding::Zstd);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut left = 1_000_000;
        while encoded.poll_frame(&mut Context::from_waker(&waker)).is_pending() {
            assert_eq!(left - encoded.input.len(), TURN_BYTES.min(left));
            left = encoded.input.len();
        }
        assert_eq!(woken.0.load(Ordering::Relaxed), 1_000_000 / TURN_BYTES);
    }

    fn decoded(body: &[u8], coding: Coding) -> Vec<u8> {
        let mut text = Vec::new();
        let read = match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(body).read_to_end(&mut text),
            Coding::Br => brotli::Decompressor::new(body, 4096).read_to_end(&mut text),
            Coding::Zstd => zstd::Decoder::new(body).unwrap().read_to_end(&mut text),
        };
        read.unwrap();
        text
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded_to_the_same(
            body in prop_oneof![vec(any::<u8>(), 0..2000), (0..100_000_usize).prop_map(noise)],
            coding in prop::sample::select(vec![Coding::Gzip, Coding::Br, Coding::Zstd]),
        ) {
            let mut encoded = encoded(body.clone(), coding);
            let mut cx = Context::from_waker(Waker::noop());
            let mut output = Vec::new();
            loop {
                match encoded.poll_frame(&mut cx) {
                    Poll::Pending => {} // which is a turn of others
                    Poll::Ready(None) => break,
                    Poll::Ready(Some(frame)) => output.extend(frame.unwrap().into_data().unwrap()),
                }
            }
            prop_assert!(encoded.is_end_stream());
            prop_assert_eq!(decoded(&output, coding), body);
        }
    }
}

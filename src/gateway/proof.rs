//! Proof that a body is the one that was signed, while it passes.
//!
//! Its digest is known when its last piece is, so that piece is held back until then: nobody gets all of a body that is
//! another one.

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{Context, SHA256},
};
use bytes::Bytes;
use http_body::Frame;

use super::{
    body::BodyError,
    exchange::{Exchange, Upload},
    request_body::Source,
    signature::Digest,
};

/// How far a body is proved.
pub(super) struct Proof {
    expected: Digest,
    so_far: Context,
    /// What may be passed on: it is not the last piece, or all of it is proved.
    free: Option<Bytes>,
    /// What may be the last piece.
    held: Option<Bytes>,
    verdict: Option<bool>,
}

type Next = Option<Result<Frame<Bytes>, BodyError>>;

impl Proof {
    /// Nothing of the body has come.
    pub(super) fn new(expected: Digest) -> Box<Self> {
        Box::new(Self {
            expected,
            so_far: Context::new(&SHA256),
            free: None,
            held: None,
            verdict: None,
        })
    }

    /// The client has sent a piece.
    pub(super) fn takes(&mut self, data: Bytes) {
        self.so_far.update(&data);
        self.free = self.held.replace(data);
    }

    /// It will send no more.
    pub(super) fn ends(&mut self, exchange: &Exchange) {
        let digest = self.so_far.clone().finish();
        let is_that = verify_slices_are_equal(digest.as_ref(), &self.expected).is_ok();
        if !is_that {
            exchange.upload.set(Upload::Forged);
        }
        self.verdict = Some(is_that);
    }

    /// What comes next, if that can be said by now.
    pub(super) fn known(&mut self) -> Option<Next> {
        match (self.free.take(), self.verdict) {
            (Some(piece), None | Some(true)) => Some(Some(Ok(Frame::data(piece)))),
            (None, None) => None,
            (None, Some(true)) => Some(self.held.take().map(Frame::data).map(Ok)),
            (_, Some(false)) => Some(Some(Err(BodyError::Forged))), // which the upstream takes for no body
        }
    }

    /// Whether nothing more is to be passed on.
    pub(super) fn is_through(&self, source: &Source) -> bool {
        let is_empty = self.free.is_none() && self.held.is_none();
        is_empty && self.verdict != Some(false) && source.is_end_stream()
    }
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Proof({:?})", self.verdict)
    }
}

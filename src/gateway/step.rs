//! Layers that only decide.

use std::task::{Context, Poll};

use futures_util::future::Either;
use http::Response;
use tower::{Layer, Service};

use super::{
    body::Body,
    refusal::{Refusal, Refused, refused},
};

/// A function from one stage of a request to the next, or to a refusal. Costs what a call of the function costs: it is
/// known by its type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<F>(pub(super) F);

/// See [`Step`].
#[derive(Debug, Clone)]
pub(super) struct Stepping<F, S> {
    step: F,
    inner: S,
}

impl<F: Copy, S> Layer<S> for Step<F> {
    type Service = Stepping<F, S>;
    fn layer(&self, inner: S) -> Self::Service {
        Stepping { step: self.0, inner }
    }
}

impl<F, S, Stage, Next> Service<Stage> for Stepping<F, S>
where
    F: Fn(Stage) -> Result<Next, Refusal>,
    S: Service<Next, Response = Response<Body>, Error = Refusal>,
{
    type Response = Response<Body>;
    type Error = Refusal;
    type Future = Either<Refused, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Stage) -> Self::Future {
        match (self.step)(request) {
            Ok(next) => Either::Right(self.inner.call(next)),
            Err(refusal) => Either::Left(refused(refusal)),
        }
    }
}

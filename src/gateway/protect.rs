//! Protection that a route asks for and this gateway does not give: nobody passes.

use std::task::{Context, Poll};

use futures_util::future::Either;
use http::Response;
use tower::{Layer, Service};

use super::{
    body::Body,
    exchange::Routed,
    refusal::{Refusal, Refused, refused},
};
use crate::routing::unmet_protection;

/// Fails closed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Protect;

/// See [`Protect`].
#[derive(Debug, Clone)]
pub(super) struct Protecting<S>(S);

impl<S> Layer<S> for Protect {
    type Service = Protecting<S>;
    fn layer(&self, inner: S) -> Self::Service {
        Protecting(inner)
    }
}

impl<S> Service<Routed> for Protecting<S>
where
    S: Service<Routed, Response = Response<Body>, Error = Refusal>,
{
    type Response = Response<Body>;
    type Error = Refusal;
    type Future = Either<Refused, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Routed) -> Self::Future {
        let settings = &request.arrived.exchange.snapshot.settings;
        match unmet_protection(&request.route.route, settings) {
            None => Either::Right(self.0.call(request)),
            Some(protection) => Either::Left(refused(Refusal::Unprotected(protection))),
        }
    }
}

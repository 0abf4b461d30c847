//! Sees every request from its arrival to its last byte, whoever decided: the one place that counts and records it.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Instant,
};

use futures_util::ready;
use http::Response;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::{
    body::Body,
    exchange::{Arrived, Exchange},
    record::record,
};

/// Watches a request. Dropped when it is over: with the last byte of the response, or when the client went away.
#[derive(Debug)]
pub(super) struct Observation(Rc<Exchange>);

impl Observation {
    /// What is observed.
    pub(super) fn exchange(&self) -> &Exchange {
        &self.0
    }
}

/// hyper lets go of a body before it hands the body's last bytes to the socket, so this runs before the client can know
/// that its request is over.
impl Drop for Observation {
    fn drop(&mut self) {
        let now = Instant::now();
        self.0.client.ends(now);
        self.0.client.core.metrics.count(&self.0, now);
        record(&self.0, now);
        self.0.log(now);
    }
}

/// Begins an observation, and hands it to the body of the response.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observe;

/// See [`Observe`].
#[derive(Debug, Clone)]
pub(super) struct Observing<S>(S);

impl<S> Layer<S> for Observe {
    type Service = Observing<S>;
    fn layer(&self, inner: S) -> Self::Service {
        Observing(inner)
    }
}

impl<S, E> Service<Arrived> for Observing<S>
where
    S: Service<Arrived, Response = Response<Body>, Error = E>,
{
    type Response = Response<Body>;
    type Error = E;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Arrived) -> Self::Future {
        let observation = Some(Observation(Rc::clone(&request.exchange)));
        Observed {
            inner: self.0.call(request),
            observation,
        }
    }
}

pin_project! {
    /// See [`Observe`].
    pub(super) struct Observed<F> {
        #[pin]
        inner: F,
        observation: Option<Observation>,
    }
}

impl<F, E> Future for Observed<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let Some(observation) = this.observation.take() else {
            return Poll::Ready(Ok(response)); // polled after the end: there is nothing left to observe
        };
        observation.exchange().status.set(Some(response.status()));
        Poll::Ready(Ok(response.map(|body| body.observed(observation))))
    }
}

//! Layers that only decide, and sometimes have to ask somebody first.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::future::LocalBoxFuture;
use http::Response;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::{body::Body, refusal::Refusal};

/// What a function says of a request.
pub(super) enum Answer<Next> {
    /// It knows.
    Now(Result<Next, Refusal>),
    /// It will. Dropped when the client goes away; boxed, since most requests never wait.
    Later(LocalBoxFuture<'static, Result<Next, Refusal>>),
}

/// A [`Step`](super::step::Step) that may have to wait for its answer. Costs what a step costs when it does not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<F>(pub(super) F);

/// See [`Ask`].
#[derive(Debug, Clone)]
pub(super) struct Asking<F, S> {
    ask: F,
    inner: S,
}

impl<F: Copy, S> Layer<S> for Ask<F> {
    type Service = Asking<F, S>;
    fn layer(&self, inner: S) -> Self::Service {
        Asking { ask: self.0, inner }
    }
}

impl<F, S, Stage, Next> Service<Stage> for Asking<F, S>
where
    F: Fn(Stage) -> Answer<Next>,
    S: Service<Next, Response = Response<Body>, Error = Refusal> + Clone,
{
    type Response = Response<Body>;
    type Error = Refusal;
    type Future = Asked<Next, S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Stage) -> Self::Future {
        match (self.ask)(request) {
            Answer::Now(Ok(next)) => Asked::Inner {
                inner: self.inner.call(next),
            },
            Answer::Now(Err(refusal)) => Asked::Refused {
                refusal: Some(refusal),
            },
            Answer::Later(answer) => Asked::Waiting {
                answer,
                service: self.inner.clone(),
            },
        }
    }
}

pin_project! {
    /// See [`Ask`].
    #[project = AskedProjection]
    pub(super) enum Asked<Next, S: Service<Next>> {
        Waiting { answer: LocalBoxFuture<'static, Result<Next, Refusal>>, service: S },
        Inner { #[pin] inner: S::Future },
        Refused { refusal: Option<Refusal> },
    }
}

impl<Next, S> Future for Asked<Next, S>
where
    S: Service<Next, Response = Response<Body>, Error = Refusal>,
{
    type Output = Result<Response<Body>, Refusal>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let inner = match self.as_mut().project() {
                AskedProjection::Inner { inner } => return inner.poll(cx),
                AskedProjection::Refused { refusal } => {
                    let refusal = refusal.take().expect("a future is not polled after it was ready");
                    return Poll::Ready(Err(refusal));
                }
                AskedProjection::Waiting { answer, service } => match ready!(answer.as_mut().poll(cx)) {
                    Ok(next) => service.call(next),
                    Err(refusal) => return Poll::Ready(Err(refusal)),
                },
            };
            self.set(Asked::Inner { inner });
        }
    }
}

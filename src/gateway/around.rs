//! Layers that do something to the responses of some requests.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::{body::Body, refusal::Refusal};

/// A function that looks at a request on its way in, may change it, and says what is to be done to the response. Where
/// that is nothing, all there is to pay is to look. Refusals pass untouched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<F>(pub(super) F);

/// What is done to a response.
pub(super) trait Afterwards {
    /// Does it.
    fn apply(self, response: Response<Body>) -> Response<Body>;
}

/// See [`Around`].
#[derive(Debug, Clone)]
pub(super) struct Surrounding<F, S> {
    before: F,
    inner: S,
}

impl<F: Copy, S> Layer<S> for Around<F> {
    type Service = Surrounding<F, S>;
    fn layer(&self, inner: S) -> Self::Service {
        Surrounding {
            before: self.0,
            inner,
        }
    }
}

impl<F, S, Stage, After> Service<Stage> for Surrounding<F, S>
where
    F: Fn(&mut Stage) -> Option<After>,
    After: Afterwards,
    S: Service<Stage, Response = Response<Body>, Error = Refusal>,
{
    type Response = Response<Body>;
    type Error = Refusal;
    type Future = Returning<S::Future, After>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Stage) -> Self::Future {
        let after = (self.before)(&mut request);
        Returning {
            inner: self.inner.call(request),
            after,
        }
    }
}

pin_project! {
    /// See [`Around`].
    pub(super) struct Returning<F, A> {
        #[pin]
        inner: F,
        after: Option<A>,
    }
}

impl<F, A> Future for Returning<F, A>
where
    F: Future<Output = Result<Response<Body>, Refusal>>,
    A: Afterwards,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        Poll::Ready(Ok(match this.after.take() {
            Some(after) => after.apply(response),
            None => response,
        }))
    }
}

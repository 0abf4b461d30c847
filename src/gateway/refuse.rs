//! Where refusals become responses.

use std::{
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use http::Response;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::{
    body::Body,
    exchange::{Arrived, Exchange},
    rate_fields,
    refusal::Refusal,
};

/// Further in, a refusal is an error; further out, a response like any other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refuse;

/// See [`Refuse`].
#[derive(Debug, Clone)]
pub(super) struct Refusing<S>(S);

impl<S> Layer<S> for Refuse {
    type Service = Refusing<S>;
    fn layer(&self, inner: S) -> Self::Service {
        Refusing(inner)
    }
}

impl<S> Service<Arrived> for Refusing<S>
where
    S: Service<Arrived, Response = Response<Body>, Error = Refusal>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answered<S::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // every layer further in is always ready: there is nothing to wait for before a request is known
    }

    fn call(&mut self, request: Arrived) -> Self::Future {
        let exchange = Rc::clone(&request.exchange);
        Answered {
            inner: self.0.call(request),
            exchange,
        }
    }
}

pin_project! {
    /// See [`Refuse`].
    pub(super) struct Answered<F> {
        #[pin]
        inner: F,
        exchange: Rc<Exchange>,
    }
}

impl<F> Future for Answered<F>
where
    F: Future<Output = Result<Response<Body>, Refusal>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let exchange = this.exchange;
        this.inner.poll(cx).map(|result| {
            let mut response = result.unwrap_or_else(|refusal| refusal.into_response(exchange));
            rate_fields::describe(exchange, response.headers_mut()); // of a refusal, too, whatever it is for
            Ok(response)
        })
    }
}

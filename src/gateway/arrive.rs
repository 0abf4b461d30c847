//! The arrival of a request: its ids, the trace it belongs to, and who sent it.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Instant,
};

use futures_util::ready;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::{
    body::Body,
    client::Client,
    exchange::{Arrived, Exchange},
    forwarded, grpc,
    look::{Field, Look},
    record::Notes,
    request_body::Source,
    trace,
};

pub(super) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
/// The longest correlation id that is taken from a client, in bytes.
const CORRELATION_BYTES_MAX: usize = 128;

/// Gives every request its identity, and every response the correlation id.
#[derive(Debug, Clone)]
pub(super) struct Arrive(pub(super) Rc<Client>);

/// See [`Arrive`].
#[derive(Debug, Clone)]
pub(super) struct Arriving<S> {
    client: Rc<Client>,
    inner: S,
}

impl<S> Layer<S> for Arrive {
    type Service = Arriving<S>;
    fn layer(&self, inner: S) -> Self::Service {
        Arriving {
            client: Rc::clone(&self.0),
            inner,
        }
    }
}

impl<S, E> Service<Request<Incoming>> for Arriving<S>
where
    S: Service<Arrived, Response = Response<Body>, Error = E>,
{
    type Response = Response<Body>;
    type Error = E;
    type Future = Departing<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let core = &self.client.core;
        let arrival = core.ids.arrival(Instant::now());
        let (head, body) = request.into_parts();
        let strand = self.client.begins(head.version);
        let mut headers = head.headers;
        let (look, notes) = match core.writer {
            Some(_) => {
                let (look, notes) = Notes::looking_at(&headers);
                (look, Some(notes))
            }
            None => (Look::at(&headers), None),
        };
        let theirs = look
            .has(Field::CorrelationId)
            .then(|| correlation_of(&headers))
            .flatten();
        let is_correlated = theirs.is_some();
        let correlation = theirs.unwrap_or_else(|| arrival.correlation());
        headers.insert(CORRELATION_ID, correlation.clone());
        let is_traced = trace::continue_or_start(&mut headers, look, &core.ids, &arrival);
        let mut exchange = Exchange::new(
            (Rc::clone(&self.client), strand),
            arrival,
            correlation,
            (head.method, head.uri, head.version),
        );
        exchange.is_call = head.version == Version::HTTP_2 && grpc::is_call(&headers);
        exchange.client_address =
            forwarded::client_address(&headers, look, &self.client, &exchange.snapshot.settings);
        exchange.notes = notes.map(|notes| notes.complete(&exchange, &headers, is_correlated, is_traced));
        let exchange = Rc::new(exchange);
        let inner = self.inner.call(Arrived {
            exchange: Rc::clone(&exchange),
            headers,
            look,
            body: Source::Client(body),
        });
        Departing { inner, exchange }
    }
}

/// What the client calls its request: one value of 1 to 128 visible ASCII characters.
fn correlation_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(CORRELATION_ID).into_iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let fits = (1..=CORRELATION_BYTES_MAX).contains(&value.len())
        && value.as_bytes().iter().all(u8::is_ascii_graphic);
    fits.then(|| value.clone())
}

pin_project! {
    /// See [`Arrive`].
    pub(super) struct Departing<F> {
        #[pin]
        inner: F,
        exchange: Rc<Exchange>,
    }
}

impl<F, E> Future for Departing<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.exchange.strand.runs(cx);
        let mut response = ready!(this.inner.poll(cx))?;
        response
            .headers_mut()
            .insert(CORRELATION_ID, this.exchange.correlation.clone());
        let is_last_word = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if this.exchange.client.core.is_leaving() && this.exchange.version != Version::HTTP_2 && !is_last_word
        {
            // The client's next request finds a node that stays.
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_correlation_id_is_taken_when_it_is_short_and_visible() {
        let check = |values: &[&str], taken: bool| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CORRELATION_ID, HeaderValue::try_from(*value).unwrap());
            }
            assert_eq!(correlation_of(&headers).is_some(), taken, "{values:?}");
        };
        check(&["a"], true);
        check(&["a-1_2.3:4/5"], true);
        check(&[&"x".repeat(128)], true);
        check(&[&"x".repeat(129)], false);
        check(&[""], false);
        check(&["a b"], false);
        check(&["é"], false);
        check(&["a", "b"], false);
        check(&[], false);
    }
}

//! Cross-origin requests of browsers, by the CORS protocol of the Fetch standard.
//!
//! It protects nobody but the user of the browser: a request of another origin is forwarded like any, only its response is
//! not for that origin's pages to read.

use std::{
    fmt::Display,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use flexgate_schemas::{
    cors::{Cors, Terms},
    origins::Origins,
};
use futures_util::future::{Either, Ready, ready as now};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    },
};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::{
    access,
    body::Body,
    choice::Choice,
    exchange::{Arrived, Exchange},
    look::Field,
    matching, vary,
};

/// The fields of a response that are ours to write where a route says so.
static OWN: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

/// What pages of other origins may do, ready to be written.
#[derive(Debug)]
pub(super) struct CompiledCors {
    origins: Origins,
    credentials: bool,
    /// None: the one that is asked for, which the route takes.
    methods: Option<HeaderValue>,
    /// None: those that are asked for.
    headers: Option<HeaderValue>,
    exposed: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

impl CompiledCors {
    /// What a route or the settings say.
    pub(super) fn compile(cors: Option<&Cors>) -> Choice<Self> {
        match cors {
            None => Choice::Unsaid,
            Some(Cors::Off) => Choice::Off,
            Some(Cors::On(terms)) => Choice::On(Box::new(Self::of(terms))),
        }
    }

    fn of(terms: &Terms) -> Self {
        let exposed = Some(terms.exposed_headers()).filter(|fields| !fields.is_empty());
        Self {
            origins: terms.origins().clone(),
            credentials: terms.credentials(),
            methods: (!terms.methods().is_any()).then(|| list([terms.methods()])),
            headers: terms.headers().map(list),
            exposed: exposed.map(list),
            max_age: (terms.max_age()).map(|age| HeaderValue::from(age.duration().as_secs())),
        }
    }

    /// Writes who may read a response: nobody, if the origin is not one of those that may.
    fn admit(&self, headers: &mut HeaderMap, origin: Option<&HeaderValue>) -> bool {
        if self.origins == Origins::Any {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            return true;
        }
        vary::add(headers, "origin"); // also where there is none, so that no cache answers one origin with another's response
        let is_one = |origin: &&HeaderValue| origin.to_str().is_ok_and(|text| self.origins.contain(text));
        let Some(origin) = origin.filter(is_one) else {
            return false;
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        true
    }

    /// Writes what a page may read of a response, whatever the upstream said of that.
    fn mark(&self, headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
        for name in &OWN {
            headers.remove(name);
        }
        if self.admit(headers, origin)
            && let Some(exposed) = &self.exposed
        {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }

    /// Answers the question whether a request with this method and these fields would be let through.
    fn answer(&self, asked: &HeaderMap, origin: &HeaderValue, method: &HeaderValue) -> Response<Body> {
        let mut response = Response::new(Body::own(Bytes::new()));
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        if self.admit(headers, Some(origin)) {
            let methods = self.methods.as_ref().unwrap_or(method);
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
            let fields = (self.headers.as_ref()).or_else(|| asked.get(ACCESS_CONTROL_REQUEST_HEADERS));
            if let Some(fields) = fields {
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, fields.clone());
            }
            if let Some(max_age) = &self.max_age {
                headers.insert(ACCESS_CONTROL_MAX_AGE, max_age.clone());
            }
        }
        vary::add(headers, "access-control-request-method");
        vary::add(headers, "access-control-request-headers");
        response
    }
}

/// A list as a field has it.
fn list<T: Display>(members: impl IntoIterator<Item = T>) -> HeaderValue {
    let members: Vec<_> = members.into_iter().map(|member| member.to_string()).collect();
    HeaderValue::try_from(members.join(", ")).expect("names of methods and fields are tokens")
}

impl Exchange {
    /// What holds for pages: what the route says, where one took the request, else the settings.
    fn cors(&self) -> Option<&CompiledCors> {
        let settings = &self.snapshot.cors;
        self.route
            .get()
            .map_or(settings, |route| &route.policies().cors)
            .or(settings)
    }
}

/// The answer to a preflight, if it is one and a route that would take the request itself speaks with browsers.
fn preflight(request: &Arrived) -> Option<Response<Body>> {
    let exchange = &request.exchange;
    if exchange.method != Method::OPTIONS || !request.look.has(Field::Origin) {
        return None;
    }
    let origin = request.headers.get(ORIGIN)?;
    let asked_for = request.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    let method = Method::from_bytes(asked_for.as_bytes()).ok()?;
    let (route, _) = matching::find(request, &method).ok()?;
    if !access::is_admitted(exchange, route) {
        return None; // it is refused like any other request
    }
    let cors = route.policies().cors.or(&exchange.snapshot.cors)?;
    let answer = cors.answer(&request.headers, origin, asked_for);
    drop(exchange.route.set(Arc::clone(route)));
    Some(answer)
}

/// Answers preflights, and writes on every other response, also on the gateway's own, which pages may read it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share;

/// See [`Share`].
#[derive(Debug, Clone)]
pub(super) struct Sharing<S>(S);

impl<S> Layer<S> for Share {
    type Service = Sharing<S>;
    fn layer(&self, inner: S) -> Self::Service {
        Sharing(inner)
    }
}

impl<S, E> Service<Arrived> for Sharing<S>
where
    S: Service<Arrived, Response = Response<Body>, Error = E>,
{
    type Response = Response<Body>;
    type Error = E;
    type Future = Either<Ready<Result<Response<Body>, E>>, Shared<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Arrived) -> Self::Future {
        if let Some(answer) = preflight(&request) {
            return Either::Left(now(Ok(answer)));
        }
        let exchange = Rc::clone(&request.exchange);
        let has_origin = request.look.has(Field::Origin);
        let origin = has_origin.then(|| request.headers.get(ORIGIN).cloned()).flatten();
        Either::Right(Shared {
            inner: self.0.call(request),
            exchange,
            origin,
        })
    }
}

pin_project! {
    /// See [`Share`].
    pub(super) struct Shared<F> {
        #[pin]
        inner: F,
        exchange: Rc<Exchange>,
        origin: Option<HeaderValue>,
    }
}

impl<F, E> Future for Shared<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        if let Some(cors) = this.exchange.cors() {
            cors.mark(response.headers_mut(), this.origin.as_ref());
        }
        Poll::Ready(Ok(response))
    }
}

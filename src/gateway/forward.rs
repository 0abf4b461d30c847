//! Sends a request to its target and passes the answer on.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version,
    header::{AUTHORIZATION, HOST},
    uri::PathAndQuery,
};
use http_body::Body as _;
use hyper::body::Incoming;
use tower::Service;

use super::{
    body::{Body, RequestBody},
    compiled::{Authorization, CompiledTarget},
    exchange::{Arrived, Exchange, ForwardPath, Targeted, Upload},
    forwarded, headers,
    line::{Line, Lost},
    refusal::Refusal,
};

/// The end of the stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forward;

impl Service<Targeted> for Forward {
    type Response = Response<Body>;
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Refusal>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Targeted) -> Self::Future {
        Box::pin(forward(request))
    }
}

async fn forward(targeted: Targeted) -> Result<Response<Body>, Refusal> {
    let (errand, request) = prepare(targeted)?;
    let began = Instant::now();
    let (mut response, mut line) = errand.run(request).await?;
    errand.exchange.upstream_time.set(Some(began.elapsed()));
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Refusal::BadResponse); // nobody asked for it
    }
    if let (Some(line), Some(seconds)) = (&mut line, headers::keep_alive_seconds(response.headers())) {
        line.rest_at_most(seconds);
    }
    headers::prepare_response(response.headers_mut());
    Ok(response.map(|incoming| Body::streamed(incoming, line, &errand.exchange)))
}

/// What it takes to get an answer, beside the request itself.
struct Errand {
    exchange: Rc<Exchange>,
    target: Arc<CompiledTarget>,
    connect_timeout: Duration,
    /// How long the response may take to begin, once there is a connection.
    timeout: Duration,
}

/// The beginning of a response, and the line it comes over, unless that is over already.
type Answer = (Response<Incoming>, Option<Box<Line>>);

/// Why one attempt gave no answer.
enum Failure {
    /// The line broke.
    Lost(Lost),
    /// Another attempt would not help.
    Refused(Refusal),
}

/// The request as the target is to see it.
fn prepare(targeted: Targeted) -> Result<(Errand, Request<RequestBody>), Refusal> {
    let Targeted {
        request,
        upstream,
        target,
    } = targeted;
    let Arrived {
        exchange,
        version,
        mut headers,
        body,
    } = request.arrived;
    let core = &exchange.client.core;
    let settings = &exchange.snapshot.settings;
    if headers::passed_through(&headers, &core.via.pseudonym) {
        return Err(Refusal::Loop);
    }
    headers::prepare_request(&mut headers, !body.is_end_stream());
    if let Some(authority) = exchange.uri.authority() {
        let authority = HeaderValue::try_from(authority.as_str()).map_err(|_| Refusal::HostCount)?;
        headers.insert(HOST, authority); // what the client really asked for (RFC 9112 3.2.2)
    }
    exchange
        .client_address
        .set(forwarded::tell(&mut headers, &exchange.client, settings));
    core.via.add(&mut headers, version);
    if !request.route.route.preserve_host || !headers.contains_key(HOST) {
        headers.insert(HOST, target.origin.authority.clone());
    }
    match &upstream.authorization {
        Authorization::Client => {}
        Authorization::Own(value) => drop(headers.insert(AUTHORIZATION, value.clone())),
        Authorization::Missing => return Err(Refusal::NoCredential),
    }
    let uri = request_target(&exchange.uri, &target.base, &request.path)?;
    let outgoing = outgoing(&exchange, uri, headers, body);
    drop(exchange.target.set(Arc::clone(&target)));
    let errand = Errand {
        connect_timeout: upstream.connect_timeout(settings),
        timeout: request.route.timeout(&upstream, settings),
        exchange,
        target,
    };
    Ok((errand, outgoing))
}

fn outgoing(exchange: &Rc<Exchange>, uri: Uri, headers: HeaderMap, body: Incoming) -> Request<RequestBody> {
    let mut request = Request::new(RequestBody::new(Some(body), Rc::clone(exchange)));
    *request.method_mut() = exchange.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers;
    request
}

/// Base path, path and query in origin form (RFC 9112 3.2.1).
fn request_target(sent: &Uri, base: &str, path: &ForwardPath) -> Result<Uri, Refusal> {
    let path = match path {
        ForwardPath::AsSent if base.is_empty() => {
            let as_sent = sent.path_and_query().cloned();
            return Ok(Uri::from(
                as_sent.unwrap_or_else(|| PathAndQuery::from_static("/")),
            ));
        }
        ForwardPath::AsSent => sent.path(),
        ForwardPath::Changed(path) => path,
    };
    let base = if path.starts_with('/') { base } else { "" }; // `OPTIONS *` is about the server, not a path of it
    let text = match sent.query() {
        Some(query) => format!("{base}{path}?{query}"),
        None => format!("{base}{path}"),
    };
    PathAndQuery::try_from(text)
        .map(Uri::from)
        .map_err(|_| Refusal::Path(crate::routing::PathRefusal::Character))
}

impl Errand {
    /// Over a line that rested if there is one, else over a new one. A line that turns out to be dead is no answer: the
    /// request goes once more, over a new one, if nobody can have seen it, or if it may safely be seen twice.
    async fn run(&self, request: Request<RequestBody>) -> Result<Answer, Refusal> {
        let core = &self.exchange.client.core;
        let Some(line) = core.pool.take(&self.target.origin) else {
            return self.over_new_line(request).await;
        };
        core.metrics.count_line(true);
        // Only a line that rested for a while is at risk, so that under load nobody pays for the copy.
        let spare = (core.pool.is_stale(&line) && is_repeatable(&request)).then(|| copy_of_head(&request));
        match self.over(line, request).await {
            Ok(answer) => Ok(answer),
            Err(Failure::Lost(Lost::Unsent(request))) => self.over_new_line(*request).await,
            Err(Failure::Lost(Lost::Sent(error))) => match spare {
                Some(head) if !error.is_parse() => {
                    let again = head.map(|()| RequestBody::new(None, Rc::clone(&self.exchange)));
                    self.over_new_line(again).await
                }
                _ => Err(self.refusal_of(error)),
            },
            Err(Failure::Refused(refusal)) => Err(refusal),
        }
    }

    async fn over_new_line(&self, request: Request<RequestBody>) -> Result<Answer, Refusal> {
        let core = &self.exchange.client.core;
        let line = core
            .connector
            .connect(&self.target.origin, self.connect_timeout)
            .await
            .map_err(Refusal::Unreachable)?;
        core.metrics.count_line(false);
        self.over(line, request).await.map_err(|failure| match failure {
            Failure::Lost(Lost::Sent(error)) => self.refusal_of(error),
            Failure::Lost(Lost::Unsent(_)) => Refusal::Terminated(None),
            Failure::Refused(refusal) => refusal,
        })
    }

    /// Sends the request over a line and waits until the response begins.
    async fn over(&self, line: Box<Line>, request: Request<RequestBody>) -> Result<Answer, Failure> {
        self.exchange.attempts.set(self.exchange.attempts.get() + 1);
        let mut line = Some(line);
        let mut answer = pin!(line.as_mut().map(|line| line.send(request)));
        let mut deadline = Instant::now() + self.timeout;
        poll_fn(|cx| {
            if line.as_mut().is_some_and(|line| line.poll_drive(cx).is_ready()) {
                line = None; // which answers what was not answered yet
            }
            let mut silent = Context::from_waker(Waker::noop()); // only driving the line brings an answer
            if let Some(answer) = answer.as_mut().as_pin_mut()
                && let Poll::Ready(result) = answer.poll(&mut silent)
            {
                return Poll::Ready(
                    result
                        .map(|response| (response, line.take()))
                        .map_err(Failure::Lost),
                );
            }
            while self.exchange.client.alarm.poll(cx, deadline).is_ready() {
                if !self.exchange.upload_moved.replace(false) {
                    return Poll::Ready(Err(Failure::Refused(self.out_of_time())));
                }
                deadline = Instant::now() + self.timeout; // a long upload is no fault of the upstream
            }
            Poll::Pending
        })
        .await
    }

    fn out_of_time(&self) -> Refusal {
        match self.exchange.upload.get() {
            Upload::AwaitsClient => Refusal::BodyTimeout,
            Upload::Moving | Upload::Broken | Upload::Over => Refusal::ResponseTimeout,
        }
    }

    fn refusal_of(&self, error: hyper::Error) -> Refusal {
        match self.exchange.upload.get() {
            Upload::Broken => Refusal::BadBody,
            _ if error.is_parse() => Refusal::BadResponse,
            _ => Refusal::Terminated(Some(error)),
        }
    }
}

/// Whether a request may reach the upstream twice (RFC 9110 9.2.2), and can be sent twice: it has no body.
fn is_repeatable(request: &Request<RequestBody>) -> bool {
    request.method().is_idempotent() && request.body().is_end_stream()
}

fn copy_of_head(request: &Request<RequestBody>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    head
}

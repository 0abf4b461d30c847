//! Gets an answer to a request: over a connection that is there, over a new one, or not in time.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use futures_util::future::LocalBoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, header::UPGRADE};
use http_body::Body as _;
use hyper::body::Incoming;

use super::{
    authenticate::Denied,
    body::Body,
    channel::Share,
    compiled::CompiledTarget,
    connect::Connected,
    exchange::{Exchange, Upload},
    headers,
    line::{Line, Lost},
    look::{Field, Look},
    refusal::Refusal,
    request_body::{RequestBody, Source},
    signature::SignatureFault,
};

/// What it takes to get an answer, beside the request itself.
pub(super) struct Errand {
    pub(super) exchange: Rc<Exchange>,
    pub(super) target: Arc<CompiledTarget>,
    pub(super) began: Instant,
    /// How long a new connection may take.
    pub(super) connect_timeout: Duration,
    /// How long the response may take to begin, once there is a connection.
    pub(super) timeout: Duration,
    /// Whether the client takes trailers.
    pub(super) takes_trailers: bool,
    /// The protocol that it would switch to.
    pub(super) upgrade: Option<HeaderValue>,
}

/// What an answer comes over, for as long as it is needed.
#[derive(Debug)]
pub(super) enum Way {
    /// HTTP/1.1: the line is this request's alone, which drives it.
    Line(Box<Line>),
    /// HTTP/2: the share is given back when it is dropped.
    Channel(#[expect(dead_code, reason = "held, not used")] Share),
}

/// The beginning of a response, and what it comes over, unless that is over already.
type Answer = (Response<Incoming>, Option<Way>);

/// Why one attempt gave no answer.
enum Failure {
    /// The connection broke.
    Lost(Lost),
    /// The response did not begin in time.
    OutOfTime,
}

impl Errand {
    /// Over a connection that is there if there is one, else over a new one.
    pub(super) fn run(
        self,
        request: Request<RequestBody>,
    ) -> LocalBoxFuture<'static, Result<Response<Body>, Refusal>> {
        let core = &self.exchange.client.core;
        let Some(mut line) = core.pool.take(&self.target.origin, &self.exchange.snapshot.guard) else {
            return Box::pin(async move {
                let answer = match self.shared_channel() {
                    Some(share) => self.over_shared_channel(share, request).await?,
                    None => self.over_new_connection(request).await?,
                };
                self.pass_on(answer)
            });
        };
        core.metrics.count_reused_line();
        // Only a line that rested for a while is at risk, so that under load nobody pays for the copy.
        let at_risk = core.pool.is_stale(&line) && is_repeatable(&request);
        let spare = at_risk.then(|| Box::new(copy_of_head(&request)));
        let answer = line.send(self.for_line(request));
        Box::pin(async move {
            let answer = match self.answer(Way::Line(line), answer, self.began).await {
                Ok(answer) => answer,
                Err(failure) => self.again(failure, spare).await?,
            };
            self.pass_on(answer)
        })
    }

    /// A connection that turns out to be dead is no answer: the request goes once more, over a new one, if nobody can have
    /// seen it, or if it may safely be seen twice.
    async fn again(&self, failure: Failure, spare: Option<Box<Request<()>>>) -> Result<Answer, Refusal> {
        match (failure, spare) {
            (Failure::Lost(Lost::Unsent(request)), _) => self.over_new_connection(*request).await,
            (Failure::Lost(Lost::Sent(error)), Some(head)) if !error.is_parse() => {
                let again = head.map(|()| RequestBody::new(Source::Nothing, Rc::clone(&self.exchange)));
                self.over_new_connection(again).await
            }
            (failure, _) => Err(self.refusal_of(failure)),
        }
    }

    fn shared_channel(&self) -> Option<Share> {
        let channels = &self.exchange.client.core.pool.channels;
        self.upgrade
            .is_none()
            .then(|| channels.take(&self.target.origin, &self.exchange.snapshot.guard))
            .flatten()
    }

    async fn over_shared_channel(
        &self,
        share: Share,
        request: Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        self.exchange.client.core.metrics.count_reused_line();
        let answer = share.send(self.for_channel(request)?);
        match self.answer(Way::Channel(share), answer, self.began).await {
            Ok(answer) => Ok(answer),
            Err(failure) => self.again(failure, None).await,
        }
    }

    /// Boxed, because connecting is rare and its state large: it would be carried along by every request.
    fn over_new_connection(
        &self,
        request: Request<RequestBody>,
    ) -> LocalBoxFuture<'_, Result<Answer, Refusal>> {
        Box::pin(async move {
            let core = &self.exchange.client.core;
            let guard = &self.exchange.snapshot.guard;
            let how = (guard, self.upgrade.is_some());
            let connected = core
                .connector
                .connect(&self.target.origin, how, self.connect_timeout);
            let connected = connected.await.map_err(Refusal::Unreachable)?;
            core.metrics.count_opened_line();
            let since = Instant::now();
            let answered = match connected {
                Connected::Line(mut line) => {
                    let answer = line.send(self.for_line(request));
                    self.answer(Way::Line(line), answer, since).await
                }
                Connected::Channel(channel) => {
                    let share = core.pool.channels.put(channel, guard);
                    let answer = share.send(self.for_channel(request)?);
                    self.answer(Way::Channel(share), answer, since).await
                }
            };
            answered.map_err(|failure| self.refusal_of(failure))
        })
    }

    fn for_line(&self, mut request: Request<RequestBody>) -> Request<RequestBody> {
        headers::for_http1(&mut request, self.takes_trailers);
        if let Some(protocol) = &self.upgrade {
            headers::switch_to(request.headers_mut(), protocol.clone());
        }
        request.body_mut().is_driven_here = true;
        request
    }

    fn for_channel(&self, mut request: Request<RequestBody>) -> Result<Request<RequestBody>, Refusal> {
        let is_encrypted = self.target.origin.tls.is_some();
        headers::for_http2(&mut request, is_encrypted)
            .map_err(|_| Refusal::Host(crate::routing::HostRefusal::Syntax))?;
        request.body_mut().is_driven_here = false;
        Ok(request)
    }

    /// Waits until the response begins. The time runs from `since`.
    async fn answer(
        &self,
        way: Way,
        answer: impl Future<Output = Result<Response<Incoming>, Lost>>,
        since: Instant,
    ) -> Result<Answer, Failure> {
        self.exchange.attempts.set(self.exchange.attempts.get() + 1);
        let (mut way, mut ended) = (Some(way), None);
        let mut answer = pin!(answer);
        let mut since = since;
        poll_fn(|cx| {
            let mut silent = Context::from_waker(Waker::noop()); // only driving a line brings an answer on it
            let mut answered = match &mut way {
                Some(Way::Line(line)) => {
                    if line.poll_drive(cx).is_ready() {
                        ended = way.take(); // with its answer, if it switches protocols
                    }
                    answer.as_mut().poll(&mut silent)
                }
                _ => answer.as_mut().poll(cx),
            };
            if answered.is_pending() && ended.take().is_some() {
                answered = answer.as_mut().poll(&mut silent); // to let go of a line answers what was not answered yet
            }
            if let Poll::Ready(answered) = answered {
                let answered = answered.map(|response| {
                    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                    let way = if switches { ended.take() } else { way.take() };
                    (response, way)
                });
                return Poll::Ready(answered.map_err(Failure::Lost));
            }
            loop {
                ready!(self.exchange.strand.alarm.poll(cx, since + self.patience()));
                if !self.exchange.upload_moved.replace(false) {
                    return Poll::Ready(Err(Failure::OutOfTime));
                }
                since = Instant::now(); // a long upload is no fault of the upstream
            }
        })
        .await
    }

    /// How long nothing may happen: a client that owes its body may have less time than the upstream.
    fn patience(&self) -> Duration {
        match self.exchange.upload.get() {
            Upload::AwaitsClient => self.timeout.min(self.exchange.upload_pause_max()),
            _ => self.timeout,
        }
    }

    /// The response, as the client is to see it.
    fn pass_on(&self, (mut response, mut way): Answer) -> Result<Response<Body>, Refusal> {
        self.exchange.upstream_time.set(Some(self.began.elapsed()));
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.switch(response, way);
        }
        let look = Look::at(response.headers());
        if headers::is_coded_otherwise(response.headers(), look) {
            return Err(Refusal::BadResponse);
        }
        if look.has(Field::KeepAlive)
            && let (Some(Way::Line(line)), Some(seconds)) =
                (&mut way, headers::keep_alive_seconds(response.headers()))
        {
            line.rest_at_most(seconds);
        }
        headers::prepare_response(response.headers_mut(), look);
        Ok(response.map(|incoming| Body::streamed(incoming, way, &self.exchange)))
    }

    /// The upstream speaks another protocol from here on, which must be what the client asked for.
    fn switch(&self, mut response: Response<Incoming>, way: Option<Way>) -> Result<Response<Body>, Refusal> {
        let headers = response.headers_mut();
        let (Some(_), Some(protocol), Some(Way::Line(line))) = (&self.upgrade, headers.remove(UPGRADE), way)
        else {
            return Err(Refusal::BadResponse);
        };
        let look = Look::at(headers);
        headers::prepare_response(headers, look);
        headers::switch_to(headers, protocol);
        Ok(response.map(|_| Body::switching(line.into_wire())))
    }

    fn refusal_of(&self, failure: Failure) -> Refusal {
        match (failure, self.exchange.upload.get()) {
            (Failure::Lost(Lost::Sent(_)), Upload::Broken) => Refusal::BadBody,
            (Failure::Lost(Lost::Sent(_)), Upload::TooLarge) => Refusal::BodyTooLarge,
            (Failure::Lost(Lost::Sent(_)), Upload::Forged) => {
                Refusal::Denied(Denied::Signature(SignatureFault::Body))
            }
            (Failure::Lost(Lost::Sent(error)), _) if error.is_parse() => Refusal::BadResponse,
            (Failure::Lost(Lost::Sent(error)), _) => Refusal::Terminated(Some(error)),
            (Failure::Lost(Lost::Unsent(_)), _) => Refusal::Terminated(None),
            (Failure::OutOfTime, Upload::AwaitsClient) => Refusal::BodyTimeout,
            (Failure::OutOfTime, _) => Refusal::ResponseTimeout,
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

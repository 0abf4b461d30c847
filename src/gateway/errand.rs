//! Gets an answer to a request: over a line that rested, over a new one, or not in time.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use futures_util::future::LocalBoxFuture;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;

use super::{
    body::{Body, RequestBody},
    compiled::CompiledTarget,
    exchange::{Exchange, Upload},
    headers,
    line::{Line, Lost},
    look::{Field, Look},
    refusal::Refusal,
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
}

/// The beginning of a response, and the line it comes over, unless that is over already.
type Answer = (Response<Incoming>, Option<Box<Line>>);

/// Why one attempt gave no answer.
enum Failure {
    /// The line broke.
    Lost(Lost),
    /// The response did not begin in time.
    OutOfTime,
}

impl Errand {
    /// Over a line that rested if there is one, else over a new one.
    pub(super) fn run(
        self,
        request: Request<RequestBody>,
    ) -> LocalBoxFuture<'static, Result<Response<Body>, Refusal>> {
        let core = &self.exchange.client.core;
        let Some(mut line) = core.pool.take(&self.target.origin, &self.exchange.snapshot.guard) else {
            return Box::pin(async move {
                let answer = self.over_new_line(request).await?;
                self.pass_on(answer)
            });
        };
        core.metrics.count_reused_line();
        // Only a line that rested for a while is at risk, so that under load nobody pays for the copy.
        let at_risk = core.pool.is_stale(&line) && is_repeatable(&request);
        let spare = at_risk.then(|| Box::new(copy_of_head(&request)));
        let answer = line.send(request);
        Box::pin(async move {
            let answer = match self.answer(line, answer, self.began).await {
                Ok(answer) => answer,
                Err(failure) => self.again(failure, spare).await?,
            };
            self.pass_on(answer)
        })
    }

    /// A line that turns out to be dead is no answer: the request goes once more, over a new one, if nobody can have
    /// seen it, or if it may safely be seen twice.
    async fn again(&self, failure: Failure, spare: Option<Box<Request<()>>>) -> Result<Answer, Refusal> {
        match (failure, spare) {
            (Failure::Lost(Lost::Unsent(request)), _) => self.over_new_line(*request).await,
            (Failure::Lost(Lost::Sent(error)), Some(head)) if !error.is_parse() => {
                let again = head.map(|()| RequestBody::new(None, Rc::clone(&self.exchange)));
                self.over_new_line(again).await
            }
            (failure, _) => Err(self.refusal_of(failure)),
        }
    }

    /// Boxed, because connecting is rare and its state large: it would be carried along by every request.
    fn over_new_line(&self, request: Request<RequestBody>) -> LocalBoxFuture<'_, Result<Answer, Refusal>> {
        Box::pin(async move {
            let core = &self.exchange.client.core;
            let guard = &self.exchange.snapshot.guard;
            let connected = core
                .connector
                .connect(&self.target.origin, guard, self.connect_timeout);
            let mut line = connected.await.map_err(Refusal::Unreachable)?;
            core.metrics.count_opened_line();
            let answer = line.send(request);
            let answered = self.answer(line, answer, Instant::now()).await;
            answered.map_err(|failure| self.refusal_of(failure))
        })
    }

    /// Waits until the response begins. The time runs from `since`.
    async fn answer(
        &self,
        line: Box<Line>,
        answer: impl Future<Output = Result<Response<Incoming>, Lost>>,
        since: Instant,
    ) -> Result<Answer, Failure> {
        self.exchange.attempts.set(self.exchange.attempts.get() + 1);
        let mut line = Some(line);
        let mut answer = pin!(answer);
        let mut deadline = since + self.timeout;
        poll_fn(|cx| {
            if line.as_mut().is_some_and(|line| line.poll_drive(cx).is_ready()) {
                line = None; // which answers what was not answered yet
            }
            let mut silent = Context::from_waker(Waker::noop()); // only driving the line brings an answer
            if let Poll::Ready(answered) = answer.as_mut().poll(&mut silent) {
                let answered = answered.map(|response| (response, line.take()));
                return Poll::Ready(answered.map_err(Failure::Lost));
            }
            while self.exchange.client.alarm.poll(cx, deadline).is_ready() {
                if !self.exchange.upload_moved.replace(false) {
                    return Poll::Ready(Err(Failure::OutOfTime));
                }
                deadline = Instant::now() + self.timeout; // a long upload is no fault of the upstream
            }
            Poll::Pending
        })
        .await
    }

    /// The response, as the client is to see it.
    fn pass_on(&self, (mut response, mut line): Answer) -> Result<Response<Body>, Refusal> {
        self.exchange.upstream_time.set(Some(self.began.elapsed()));
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Refusal::BadResponse); // nobody asked for it
        }
        let look = Look::at(response.headers());
        if look.has(Field::KeepAlive)
            && let (Some(line), Some(seconds)) = (&mut line, headers::keep_alive_seconds(response.headers()))
        {
            line.rest_at_most(seconds);
        }
        headers::prepare_response(response.headers_mut(), look);
        Ok(response.map(|incoming| Body::streamed(incoming, line, &self.exchange)))
    }

    fn refusal_of(&self, failure: Failure) -> Refusal {
        match (failure, self.exchange.upload.get()) {
            (Failure::Lost(Lost::Sent(_)), Upload::Broken) => Refusal::BadBody,
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

//! For how long a client is waited for.

use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use flexgate_schemas::{Limits, Millis};

use super::{super::metrics::count_refusal, Client};

/// How long a connection that had no request yet is waited for when the gateway closes: it may just have been taken from
/// the queue.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// Why a connection is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tired {
    /// It had no request for long enough.
    Rested,
    /// The head of a request is not complete in time.
    SlowHead,
    /// The client takes nothing of what is there for it.
    Stuck,
}

impl Client {
    /// What the work comes to, unless the connection is given up meanwhile.
    pub(super) async fn unless_tired<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            self.strand.runs(cx);
            match work.as_mut().poll(cx) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending => self.poll_tired(cx).map(|tired| {
                    self.gives_up(tired);
                    None
                }),
            }
        })
        .await
    }

    fn poll_tired(&self, cx: &mut Context<'_>) -> Poll<Tired> {
        match self.waits_for() {
            Some((tired, deadline)) => self.strand.alarm.poll(cx, deadline).map(|()| tired),
            None => Poll::Pending,
        }
    }

    /// What the connection is given up for next, and when.
    fn waits_for(&self) -> Option<(Tired, Instant)> {
        let limit = |said: fn(&Limits) -> Option<Millis>, default: Millis| {
            let snapshot = self.core.snapshot();
            said(&snapshot.settings.limits).unwrap_or(default).duration()
        };
        if let Some(since) = self.activity.stuck_since() {
            let patience = limit(|limits| limits.body_timeout, Limits::BODY_TIMEOUT);
            return Some((Tired::Stuck, since + patience));
        }
        if self.requests.get() > 0 {
            return None;
        }
        if self.core.is_closing() {
            return Some((Tired::Rested, self.resting_since.get() + FIRST_REQUEST));
        }
        if let Some(since) = self.activity.head_since() {
            let patience = limit(|limits| limits.head_timeout, Limits::HEAD_TIMEOUT);
            return Some((Tired::SlowHead, since + patience));
        }
        let rest = limit(|limits| limits.keep_alive_timeout, Limits::KEEP_ALIVE_TIMEOUT);
        Some((Tired::Rested, self.resting_since.get() + rest))
    }

    fn gives_up(&self, tired: Tired) {
        self.tired.set(Some(tired));
        match tired {
            Tired::Rested => {}
            Tired::SlowHead => count_refusal("head_timeout"),
            Tired::Stuck => count_refusal("client_stalled"),
        }
    }

    /// Whether it was given up because it took nothing of what was there for it.
    pub(in super::super) fn is_stuck(&self) -> bool {
        self.tired.get() == Some(Tired::Stuck)
    }
}

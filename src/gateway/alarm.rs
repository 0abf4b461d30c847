//! A timer that costs nothing while nothing is late.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use futures_util::ready;
use tokio::time::Sleep;

/// One timer for everything that a client's connection waits for.
///
/// Deadlines move with every request, nearly always further away, and hardly one is ever reached. So the timer is left
/// where it stands and only looks, when it goes off, whether it went off too early: twice a minute instead of twice a
/// request. It wakes the task that polled it first, which must be the only one that polls it.
#[derive(Debug)]
pub(super) struct Alarm {
    sleep: RefCell<Pin<Box<Sleep>>>,
    set_to: Cell<Option<Instant>>,
}

impl Alarm {
    /// A timer that is not set. Needs a runtime with time.
    pub(super) fn new() -> Self {
        Self {
            sleep: RefCell::new(Box::pin(tokio::time::sleep_until(Instant::now().into()))),
            set_to: Cell::new(None),
        }
    }

    /// Ready once the deadline has passed; until then the task is woken at the deadline, perhaps also before.
    pub(super) fn poll(&self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let mut sleep = self.sleep.borrow_mut();
        if self.set_to.get().is_some_and(|time| time <= deadline) && !sleep.is_elapsed() {
            return Poll::Pending; // the task is known to the timer already
        }
        loop {
            if Instant::now() >= deadline {
                self.set_to.set(None);
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline.into());
            self.set_to.set(Some(deadline));
            ready!(sleep.as_mut().poll(cx));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;

    async fn reached(alarm: &Alarm, deadline: Instant) {
        poll_fn(|cx| alarm.poll(cx, deadline)).await;
        assert!(Instant::now() >= deadline);
    }

    async fn not_yet(alarm: &Alarm, deadline: Instant) {
        let polled = poll_fn(|cx| Poll::Ready(alarm.poll(cx, deadline))).await;
        assert!(polled.is_pending());
    }

    fn in_millis(millis: u64) -> Instant {
        Instant::now() + Duration::from_millis(millis)
    }

    #[tokio::test]
    async fn an_alarm_goes_off_at_the_deadline_that_holds_now() {
        let alarm = Alarm::new();
        let (later, sooner) = (in_millis(30), in_millis(10));
        not_yet(&alarm, later).await;
        reached(&alarm, sooner).await; // brought forward
        reached(&alarm, later).await; // set again
        let early = in_millis(5);
        not_yet(&alarm, early).await;
        reached(&alarm, in_millis(20)).await; // put off: the early wake-up is not taken for the deadline
    }
}

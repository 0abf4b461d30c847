//! The task that a request runs in, as everything that works on the request sees it.

use std::{
    cell::OnceCell,
    task::{Context, Waker},
};

use super::alarm::Alarm;

/// A task and its one timer. In HTTP/1.1 it is the task of the connection, and its requests have it one after the other;
/// in HTTP/2 each request has its own.
#[derive(Debug)]
pub(super) struct Strand {
    /// Whatever the task waits for, it waits for one after the other.
    pub(super) alarm: Alarm,
    task: OnceCell<Waker>,
}

impl Strand {
    /// Of a task that did not run yet. Needs a runtime with time.
    pub(super) fn new() -> Self {
        Self {
            alarm: Alarm::new(),
            task: OnceCell::new(),
        }
    }

    /// The task runs. The first call counts.
    pub(super) fn runs(&self, cx: &Context<'_>) {
        let _ = self.task.get_or_init(|| cx.waker().clone());
    }

    /// Wakes the task; nobody as long as it did not run.
    pub(super) fn task(&self) -> &Waker {
        self.task.get().unwrap_or(Waker::noop())
    }
}

//! What requests wish for, and the calls that come of it.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::oneshot;

use super::{
    Budget, Standing, Taken,
    desk::{Call, Reply},
};

/// What is to be asked of Redis.
pub(super) enum Wish {
    /// More tokens.
    Lease(Arc<Budget>),
    /// So many tokens for one request.
    Strict {
        budget: Arc<Budget>,
        tokens: u64,
        tell: oneshot::Sender<Taken>,
    },
}

/// One call. Dropped without an answer it says so to whoever waits.
pub(super) struct Ask {
    pub(super) budget: Arc<Budget>,
    pub(super) call: Call,
    pub(super) tell: Option<oneshot::Sender<Taken>>,
}

impl Ask {
    pub(super) fn of(wish: Wish, now: u64) -> Self {
        match wish {
            Wish::Lease(budget) => {
                let call = budget.purse().map(|purse| purse.call(&budget.terms, now, false));
                Self {
                    budget,
                    call: call.unwrap_or_default(),
                    tell: None,
                }
            }
            Wish::Strict { budget, tokens, tell } => {
                let call = budget
                    .purse()
                    .map(|purse| purse.strict_call(&budget.terms, now, tokens));
                Self {
                    budget,
                    call: call.unwrap_or_default(),
                    tell: Some(tell),
                }
            }
        }
    }

    /// A call that nobody waits for. None while one is under way.
    pub(super) fn to_look_after(budget: &Arc<Budget>, now: u64, gives_back: bool) -> Option<Self> {
        let purse = budget.purse()?;
        if purse.asked.swap(true, Ordering::AcqRel) {
            return None;
        }
        Some(Self {
            budget: Arc::clone(budget),
            call: purse.call(&budget.terms, now, gives_back),
            tell: None,
        })
    }

    pub(super) fn answer(mut self, times: (u64, u64), reply: Option<Reply>) {
        let (Some(purse), Some(reply)) = (self.budget.purse(), reply) else {
            return;
        };
        purse.answer(&self.budget.terms, times, &self.call, &reply);
        if let Some(tell) = self.tell.take() {
            let standing = Standing {
                remaining: reply.left,
                full: reply.full,
                again: reply.again,
            };
            let taken = if reply.granted > 0 {
                Taken::Yes(standing)
            } else {
                Taken::No(standing)
            };
            if tell.send(taken).is_err() && reply.granted > 0 {
                purse.put_back.fetch_add(reply.granted, Ordering::Relaxed); // the client has gone
            }
        }
    }
}

impl Drop for Ask {
    fn drop(&mut self) {
        let Some(purse) = self.budget.purse() else { return };
        if !self.call.strict {
            purse.asked.store(false, Ordering::Release);
            purse.answered.notify_waiters();
        }
    }
}

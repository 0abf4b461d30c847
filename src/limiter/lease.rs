//! Tokens that this node has taken from a budget ahead of use. Cores spend them without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was taken and is not spent, and until when it may be.
#[derive(Debug, Default)]
pub(super) struct Lease {
    tokens: AtomicU64,
    /// In microseconds of the node's clock. Redis takes back what is older; by then nobody here spends any of it.
    until: AtomicU64,
}

impl Lease {
    /// Spends so many tokens, all or none. Returns how many are left.
    pub(super) fn spend(&self, now: u64, tokens: u64) -> Option<u64> {
        if now >= self.until.load(Ordering::Relaxed) {
            return None;
        }
        // Each token is there once, whoever reads what else first: nothing needs an order.
        let less = |left: u64| left.checked_sub(tokens);
        let before = self
            .tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        before.ok().map(|before| before - tokens)
    }

    /// How many are left.
    pub(super) fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::Relaxed)
    }

    /// Until when they may be spent.
    pub(super) fn until(&self) -> u64 {
        self.until.load(Ordering::Relaxed)
    }

    /// Takes all that is left, so that nobody spends it.
    pub(super) fn empty(&self) -> u64 {
        self.tokens.swap(0, Ordering::Relaxed)
    }

    /// So many more, and all that are there may be spent until then.
    pub(super) fn renew(&self, tokens: u64, until: u64) {
        self.tokens.fetch_add(tokens, Ordering::Relaxed);
        self.until.store(until, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_spent_once_and_not_after_its_time() {
        let lease = Lease::default();
        assert_eq!(lease.spend(0, 1), None);
        lease.renew(5, 100);
        assert_eq!((lease.spend(99, 3), lease.spend(99, 3)), (Some(2), None));
        assert_eq!(lease.spend(100, 1), None);
        lease.renew(1, 200);
        assert_eq!((lease.empty(), lease.spend(100, 1)), (3, None));
    }
}

//! Where a connection leads.

use std::{cell::RefCell, net::IpAddr, sync::Arc};

use super::origin::Origin;
use crate::egress::{self, Behalf, Guard};

/// The far end of a connection to an upstream.
#[derive(Debug)]
pub(super) struct FarEnd {
    pub(super) origin: Arc<Origin>,
    /// Where it really is.
    pub(super) address: IpAddr,
    /// The last that let requests go there.
    guard: RefCell<Arc<Guard>>,
}

impl FarEnd {
    /// An end that this guard has just let requests go to.
    pub(super) fn new(origin: &Arc<Origin>, address: IpAddr, guard: &Arc<Guard>) -> Self {
        Self {
            origin: Arc::clone(origin),
            address,
            guard: RefCell::new(Arc::clone(guard)),
        }
    }

    /// Whether requests may go there. Nothing has to be worked out while the guard is the one that said so last, which it
    /// is until an edit changes where requests may go.
    pub(super) fn admits(&self, guard: &Arc<Guard>) -> bool {
        if Arc::ptr_eq(&self.guard.borrow(), guard) {
            return true;
        }
        let verdict = egress::verdict(guard, &self.origin.known_as, self.address, Behalf::Client);
        if verdict.is_ok() {
            self.guard.replace(Arc::clone(guard));
        }
        verdict.is_ok()
    }
}

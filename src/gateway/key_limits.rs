//! The limits of keys, made ready when a key is first used: there may be a million of them, few of which come to one core.

use std::{cell::RefCell, collections::HashMap, num::NonZeroU64, rc::Rc};

use flexgate_schemas::{ApiKey, KeyId, RateLimits, key::Quotas};

use super::rate_limit::CompiledLimits;
use crate::limiter::Limiter;

/// The most keys whose limits a core keeps ready. Beyond that it begins anew; budgets are kept elsewhere.
const KEYS_MAX: usize = 4096;

/// What a core keeps ready.
#[derive(Debug, Default)]
pub(super) struct KeyLimits(RefCell<HashMap<KeyId, Ready>>);

/// Made of these.
#[derive(Debug)]
struct Ready {
    rate_limit: Option<RateLimits>,
    quotas: Quotas,
    limits: Option<Rc<CompiledLimits>>,
}

impl KeyLimits {
    /// Those of a key, as it is now.
    pub(super) fn of(&self, key: &ApiKey, limiter: &Limiter) -> Option<Rc<CompiledLimits>> {
        let own = key.particulars();
        let mut keys = self.0.borrow_mut();
        if let Some(ready) = keys.get(&key.id)
            && ready.quotas == own.quotas
            && ready.rate_limit == own.rate_limit
        {
            return ready.limits.clone();
        }
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        let [day, month] = [own.quotas.day, own.quotas.month].map(|quota| quota.map(NonZeroU64::get));
        let limits = CompiledLimits::of_key(own.rate_limit.as_ref(), (day, month), limiter).map(Rc::new);
        let ready = Ready {
            rate_limit: own.rate_limit.clone(),
            quotas: own.quotas,
            limits: limits.clone(),
        };
        keys.insert(key.id, ready);
        limits
    }
}

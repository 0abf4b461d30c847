//! Rate limits: whether there is room for a request in each limit that it is under.

use std::{borrow::Cow, fmt::Write as _, sync::Arc};

use flexgate_schemas::{RateLimit, RateLimits, rate_limit::Per};
use http::HeaderValue;

use super::{
    ask::Answer,
    caller::Caller,
    exchange::{Exchange, Routed},
    rate_fields::Told,
    refusal::Refusal,
};
use crate::limiter::{self, Budget, Limiter, Standing, Taken, Terms, Whom, period::Unit};

/// The limits of a route or of the settings, ready to be asked.
#[derive(Debug)]
pub(super) struct CompiledLimits {
    each: Box<[CompiledLimit]>,
    /// What clients are told of all of them.
    pub(super) policy: HeaderValue,
}

/// One of them.
#[derive(Debug)]
pub(super) struct CompiledLimit {
    /// What clients are told it is called.
    pub(super) name: Box<str>,
    /// How many requests it takes in its window, and how long that is, in whole seconds.
    pub(super) requests: u64,
    window: u64,
    /// The `detail` of its refusals.
    pub(super) message: Box<str>,
    budgets: Budgets,
}

/// Whose requests share a budget.
#[derive(Debug)]
enum Budgets {
    /// All of them.
    Common(Arc<Budget>),
    /// Those of each of these.
    Each(Box<limiter::Budgets>, Per),
}

/// Why a request does not pass.
#[derive(Debug)]
pub(super) struct Exceeded {
    /// The limit that has nothing left.
    pub(super) limit: Box<str>,
    /// What the client is told.
    pub(super) message: Box<str>,
    /// How long it should wait, in whole seconds, at least one.
    pub(super) again: u64,
}

impl CompiledLimits {
    /// Those of a route, whose budgets are its own.
    pub(super) fn of_route(id: &str, limits: Option<&RateLimits>, limiter: &Limiter) -> Option<Box<Self>> {
        let owner = format!("route:{id}");
        let compiled = |limit: &RateLimit| CompiledLimit::compile((&owner, ""), limit, limit.per, limiter);
        Self::said(limits?.iter().map(compiled).collect()).map(Box::new)
    }

    /// Those of the settings, for all requests that some route takes.
    pub(super) fn of_settings(limits: Option<&RateLimits>, limiter: &Limiter) -> Option<Box<Self>> {
        let compiled = |limit: &RateLimit| CompiledLimit::compile(("all", "all-"), limit, limit.per, limiter);
        Self::said(limits?.iter().map(compiled).collect()).map(Box::new)
    }

    /// Those of any key with these limits and quotas of a day and a month. Each key has budgets of its own, whatever the
    /// limits say.
    pub(super) fn of_key(
        limits: Option<&RateLimits>,
        (day, month): (Option<u64>, Option<u64>),
        limiter: &Limiter,
    ) -> Option<Self> {
        let compiled = |limit: &RateLimit| {
            let per = Per {
                key: true,
                ..limit.per
            };
            CompiledLimit::compile(("key", "key-"), limit, per, limiter)
        };
        let quota = |(max, unit): (Option<u64>, Unit)| Some(CompiledLimit::quota(max?, unit, limiter));
        let limits = limits.into_iter().flatten().map(compiled);
        let quotas = [(day, Unit::Day), (month, Unit::Month)]
            .into_iter()
            .filter_map(quota);
        Self::said(limits.chain(quotas).collect())
    }

    fn said(each: Vec<CompiledLimit>) -> Option<Self> {
        let mut policy = String::new();
        for CompiledLimit {
            name,
            requests,
            window,
            ..
        } in &each
        {
            let comma = if policy.is_empty() { "" } else { ", " };
            let _written = write!(policy, "{comma}\"{name}\";q={requests};w={window}");
        }
        let policy = HeaderValue::try_from(policy).ok()?; // names are tokens
        let each: Box<[_]> = each.into();
        (!each.is_empty()).then_some(Self { each, policy })
    }
}

impl CompiledLimit {
    /// `owner` says whose budgets they are. Where a limit has no name of its own, `prefix` keeps it apart from those of others.
    fn compile((owner, prefix): (&str, &str), limit: &RateLimit, per: Per, limiter: &Limiter) -> Self {
        let (terms, shown) = (Terms::of(limit), limit.shown_name());
        let place = format!("{owner}:{shown}");
        let budgets = if per == Per::default() {
            Budgets::Common(limiter.common(&place, terms))
        } else {
            Budgets::Each(Box::new(limiter.each(&place, terms)), per)
        };
        let prefix = if limit.name.is_some() { "" } else { prefix };
        let spoken = || {
            format!(
                "No more than {} requests in {} are taken here.",
                limit.requests, limit.window
            )
        };
        Self {
            name: format!("{prefix}{shown}").into(),
            requests: limit.requests.get().into(),
            window: u64::from(limit.window.get()).div_ceil(1000),
            message: limit.message.clone().unwrap_or_else(|| spoken().into()),
            budgets,
        }
    }

    /// So many of a key in each day or month.
    fn quota(max: u64, unit: Unit, limiter: &Limiter) -> Self {
        let word = match unit {
            Unit::Day => "day",
            Unit::Month => "month",
        };
        let per = Per {
            key: true,
            address: false,
        };
        let quota = limiter.each(&format!("key:{word}"), Terms::quota(max, unit));
        Self {
            name: format!("key-{word}").into(),
            requests: max,
            window: unit.seconds(),
            message: format!("The quota of this key, {max} requests in a {word}, is used up.").into(),
            budgets: Budgets::Each(Box::new(quota), per),
        }
    }

    /// The budget that a request counts in. A request without a key counts for its address where keys are told apart.
    fn budget(&self, exchange: &Exchange, now: u64) -> Cow<'_, Arc<Budget>> {
        match &self.budgets {
            Budgets::Common(budget) => Cow::Borrowed(budget),
            Budgets::Each(budgets, per) => {
                let key = exchange.caller.get().filter(|_| per.key).map(Caller::name);
                let by_address = per.address || key.is_none();
                let address = by_address.then_some(exchange.client_address);
                Cow::Owned(budgets.of(Whom { key, address }, now))
            }
        }
    }
}

/// Takes what the request costs from each limit, or refuses it and takes nothing.
pub(super) fn within_limits(request: Routed) -> Answer<Routed> {
    let exchange = &request.arrived.exchange;
    if let Some(key) = exchange.limited_key() {
        let limits = exchange
            .client
            .core
            .key_limits
            .of(key, &exchange.snapshot.limiter);
        drop(limits.map(|limits| exchange.key_limits.set(limits))); // once, like all of this
    }
    if exchange.limits().next().is_none() {
        return Answer::Now(Ok(request));
    }
    let now = exchange.snapshot.limiter.at(exchange.arrival.moment);
    let mut told = Told::default();
    match go_on(&request, now, &mut told) {
        Step::Done => Answer::Now(Ok(passed(request, told))),
        Step::Refused(refusal) => Answer::Now(Err(refused(exchange, told, refusal))),
        Step::Wait(budget) => Answer::Later(Box::pin(go_on_later(request, now, told, budget))),
    }
}

/// How far a request got.
enum Step {
    /// Through.
    Done,
    /// Not at all.
    Refused(Refusal),
    /// To this budget, which has to be asked for.
    Wait(Arc<Budget>),
}

async fn go_on_later(
    request: Routed,
    now: u64,
    mut told: Told,
    mut budget: Arc<Budget>,
) -> Result<Routed, Refusal> {
    let cost = request.route.cost.get().into();
    loop {
        let taken = Arc::clone(&budget).wait(cost).await;
        let step = match note(&request, now, &mut told, taken) {
            Some(refusal) => Step::Refused(refusal),
            None => go_on(&request, now, &mut told),
        };
        match step {
            Step::Done => return Ok(passed(request, told)),
            Step::Refused(refusal) => return Err(refused(&request.arrived.exchange, told, refusal)),
            Step::Wait(next) => budget = next,
        }
    }
}

impl Exchange {
    /// What limits a request: the settings, its route, its key.
    pub(super) fn limits(&self) -> impl Iterator<Item = &CompiledLimits> {
        let route = self
            .route
            .get()
            .and_then(|route| route.policies().limits.as_deref());
        let key = self.key_limits.get().map(|limits| &**limits);
        self.snapshot
            .limits
            .as_deref()
            .into_iter()
            .chain(route)
            .chain(key)
    }
}

/// The limits that a request is under, in the order in which they are asked.
fn limits(request: &Routed) -> impl Iterator<Item = &CompiledLimit> {
    let each = request.arrived.exchange.limits();
    each.flat_map(|limits| &limits.each)
}

/// Asks the limits that are left.
fn go_on(request: &Routed, now: u64, told: &mut Told) -> Step {
    let exchange = &request.arrived.exchange;
    let cost = request.route.cost.get().into();
    if told.count() == 0 {
        // What has nothing left is seen before anything is taken that would have to be put back.
        for limit in limits(request).skip(1) {
            if let Budgets::Common(budget) = &limit.budgets
                && let Some(standing) = budget.is_dry(now, cost)
            {
                return Step::Refused(exceeded(limit, standing, told));
            }
        }
    }
    while let Some(limit) = limits(request).nth(told.count()) {
        let budget = limit.budget(exchange, now);
        let taken = budget.take(now, cost);
        if taken == Taken::Later {
            return Step::Wait(budget.into_owned());
        }
        if let Some(refusal) = note(request, now, told, taken) {
            return Step::Refused(refusal);
        }
    }
    Step::Done
}

/// Notes what a limit said. A refusal puts back what was taken from those before it.
fn note(request: &Routed, now: u64, told: &mut Told, taken: Taken) -> Option<Refusal> {
    let limit = limits(request).nth(told.count())?;
    let refusal = match taken {
        Taken::Yes(standing) => {
            told.note(limit, standing);
            return None;
        }
        Taken::No(standing) => {
            put_back(request, now, told.count());
            exceeded(limit, standing, told)
        }
        Taken::Unavailable | Taken::Later => {
            put_back(request, now, told.count());
            Refusal::LimitUnavailable
        }
    };
    Some(refusal)
}

fn put_back(request: &Routed, now: u64, count: usize) {
    for limit in limits(request).take(count) {
        let cost = request.route.cost.get().into();
        limit.budget(&request.arrived.exchange, now).put_back(cost);
    }
}

fn exceeded(limit: &CompiledLimit, standing: Standing, told: &mut Told) -> Refusal {
    told.note(
        limit,
        Standing {
            remaining: 0,
            ..standing
        },
    );
    Refusal::LimitExceeded(Box::new(Exceeded {
        limit: limit.name.clone(),
        message: limit.message.clone(),
        again: standing.again.div_ceil(1_000_000).max(1),
    }))
}

fn passed(request: Routed, told: Told) -> Routed {
    let exchange = &request.arrived.exchange;
    exchange.client.core.metrics.count_limited(None);
    told.keep(exchange);
    request
}

fn refused(exchange: &Exchange, told: Told, refusal: Refusal) -> Refusal {
    exchange.client.core.metrics.count_limited(Some(&refusal));
    told.keep(exchange);
    refusal
}

//! Rate limits: whether there is room for a request in each limit that it is under.

use std::{fmt::Write as _, sync::Arc};

use flexgate_schemas::{Millis, RateLimit, RateLimits, rate_limit::Per};
use http::HeaderValue;

use super::{
    ask::Answer,
    exchange::{Exchange, Routed},
    rate_fields::Told,
    refusal::Refusal,
};
use crate::limiter::{Budget, Limiter, Standing, Taken, Terms, Whom};

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
    /// How many requests it takes in its window.
    pub(super) requests: u64,
    /// The `detail` of its refusals.
    pub(super) message: Box<str>,
    terms: Terms,
    budgets: Budgets,
}

/// Whose requests share a budget.
#[derive(Debug)]
enum Budgets {
    /// All of them.
    Common(Arc<Budget>),
    /// Those of each of these, among the budgets with this name.
    Each(Limiter, Box<str>, Per),
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
        Self::compile(&format!("route:{id}"), "", limits?, limiter)
    }

    /// Those of the settings, for all requests that some route takes.
    pub(super) fn of_settings(limits: Option<&RateLimits>, limiter: &Limiter) -> Option<Box<Self>> {
        Self::compile("all", "all-", limits?, limiter)
    }

    /// `owner` says whose budgets they are. Where a limit has no name of its own, `prefix` keeps it apart from those of others.
    fn compile(owner: &str, prefix: &str, limits: &RateLimits, limiter: &Limiter) -> Option<Box<Self>> {
        let compiled = |limit: &RateLimit| CompiledLimit::compile(owner, prefix, limit, limiter);
        let each: Box<[_]> = limits.iter().map(compiled).collect();
        let mut policy = String::new();
        for (limit, said) in each.iter().zip(limits) {
            let comma = if policy.is_empty() { "" } else { ", " };
            let window = seconds(said.window);
            let _written = write!(policy, "{comma}\"{}\";q={};w={window}", limit.name, limit.requests);
        }
        let policy = HeaderValue::try_from(policy).ok()?; // names are tokens
        Some(Box::new(Self { each, policy }))
    }
}

impl CompiledLimit {
    fn compile(owner: &str, prefix: &str, limit: &RateLimit, limiter: &Limiter) -> Self {
        let (terms, shown) = (Terms::of(limit), limit.shown_name());
        let place = format!("{owner}:{shown}");
        let budgets = match limit.per {
            Per { key: false, address: false } => Budgets::Common(limiter.common(&place, terms)),
            per => Budgets::Each(limiter.clone(), place.into(), per),
        };
        let prefix = if limit.name.is_some() { "" } else { prefix };
        let spoken = || format!("No more than {} requests in {} are taken here.", limit.requests, limit.window);
        Self {
            name: format!("{prefix}{shown}").into(),
            requests: limit.requests.get().into(),
            message: limit.message.clone().unwrap_or_else(|| spoken().into()),
            terms,
            budgets,
        }
    }

    /// The budget that a request counts in. A request without a key counts for its address where keys are told apart.
    fn budget(&self, exchange: &Exchange, now: u64) -> Arc<Budget> {
        match &self.budgets {
            Budgets::Common(budget) => Arc::clone(budget),
            Budgets::Each(limiter, name, per) => {
                let key = exchange.key().filter(|_| per.key);
                let by_address = per.address || key.is_none();
                let address = by_address.then_some(exchange.client_address);
                limiter.each(name, self.terms, Whom { key, address }, now)
            }
        }
    }
}

/// Takes what the request costs from each limit, or refuses it and takes nothing.
pub(super) fn within_limits(request: Routed) -> Answer<Routed> {
    let exchange = &request.arrived.exchange;
    if exchange.snapshot.limits.is_none() && request.route.limits.is_none() {
        return Answer::Now(Ok(request));
    }
    let now = exchange.snapshot.limiter.at(exchange.arrival.moment);
    let mut told = Told::default();
    match go_on(&request, now, &mut told) {
        Step::Done => Answer::Now(passed(request, told)),
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

async fn go_on_later(request: Routed, now: u64, mut told: Told, mut budget: Arc<Budget>) -> Result<Routed, Refusal> {
    let cost = request.route.route.cost.get().into();
    loop {
        let taken = Arc::clone(&budget).wait(cost).await;
        let step = match note(&request, now, &mut told, taken) {
            Some(refusal) => Step::Refused(refusal),
            None => go_on(&request, now, &mut told),
        };
        match step {
            Step::Done => return passed(request, told),
            Step::Refused(refusal) => return Err(refused(&request.arrived.exchange, told, refusal)),
            Step::Wait(next) => budget = next,
        }
    }
}

/// The limits that a request is under, in the order in which they are asked.
fn limits(request: &Routed) -> impl Iterator<Item = &CompiledLimit> {
    let snapshot = &request.arrived.exchange.snapshot;
    let all = snapshot.limits.iter().chain(&request.route.limits);
    all.flat_map(|limits| &limits.each)
}

/// Asks the limits that are left.
fn go_on(request: &Routed, now: u64, told: &mut Told) -> Step {
    let exchange = &request.arrived.exchange;
    let cost = request.route.route.cost.get().into();
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
            return Step::Wait(budget);
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
        let cost = request.route.route.cost.get().into();
        limit.budget(&request.arrived.exchange, now).put_back(cost);
    }
}

fn exceeded(limit: &CompiledLimit, standing: Standing, told: &mut Told) -> Refusal {
    told.note(limit, Standing { remaining: 0, ..standing });
    Refusal::LimitExceeded(Box::new(Exceeded {
        limit: limit.name.clone(),
        message: limit.message.clone(),
        again: standing.again.div_ceil(1_000_000).max(1),
    }))
}

fn passed(request: Routed, told: Told) -> Result<Routed, Refusal> {
    let exchange = &request.arrived.exchange;
    exchange.client.core.metrics.count_limited(None);
    told.keep(exchange);
    Ok(request)
}

fn refused(exchange: &Exchange, told: Told, refusal: Refusal) -> Refusal {
    exchange.client.core.metrics.count_limited(Some(&refusal));
    told.keep(exchange);
    refusal
}

/// A window as clients are told of it: whole seconds, at least one.
fn seconds(window: Millis) -> u32 {
    window.get().div_ceil(1000)
}

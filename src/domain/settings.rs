//! The rules of the global settings.

use std::sync::Arc;

use flexgate_schemas::{
    Access, Event, RateLimit, RateLimits, Security, Settings, TokenProvider, access, auth::PROVIDERS_MAX,
    event::Entity, rate_limit::Algorithm, security::ENTRIES_MAX,
};

use super::{ConfigState, Entry, Refusal, Warning, destinations, entity::Managed};

/// The most networks whose word is taken for where a request comes from.
const TRUSTED_PROXIES_MAX: usize = 1024;
/// What to do about a list of networks that is too long.
const NEIGHBOURS: &str = "networks; join neighbours into larger ones";
/// What to do about a list of hosts that is too long.
const SUFFIXES: &str = "hosts; `*.` and a suffix stands for all names below it";
/// The longest text of a refusal, in characters.
const MESSAGE_CHARS_MAX: usize = 512;
/// The longest that a bucket may take to fill, in milliseconds: a year.
const FILL_MILLIS_MAX: u64 = 366 * 24 * 3600 * 1000;

impl Managed for Settings {
    type Id = ();

    fn id(&self) -> &() {
        &()
    }

    fn entity((): &()) -> Entity {
        Entity::Settings
    }

    fn entry<'a>(state: &'a ConfigState, (): &()) -> Option<Entry<&'a Self>> {
        Some(state.settings().seen())
    }

    fn updated(value: Arc<Self>) -> Event {
        Event::SettingsUpdated(value)
    }

    fn check(&self, _: Option<&Self>, _: &ConfigState) -> Result<(), Refusal> {
        let trusted = self.trusted_proxies.len();
        check_length("/trustedProxies", trusted, TRUSTED_PROXIES_MAX, NEIGHBOURS)?;
        check_lists(&self.security)?;
        check_providers(&self.auth.jwt)?;
        check_access(&self.access)?;
        check_rate_limits(self.rate_limit.as_ref())
    }

    fn warnings(&self, after: &ConfigState) -> Vec<Warning> {
        let contradictions = after.guard().blocked_though_listed();
        let contradictions =
            contradictions.map(|(address, network)| Warning::BlockedThoughListed { address, network });
        contradictions.chain(destinations::kept_back(after)).collect()
    }
}

fn check_lists(security: &Security) -> Result<(), Refusal> {
    let allowed = security.allowed_hosts.as_ref().map_or(0, Vec::len);
    check_length("/security/allowedHosts", allowed, ENTRIES_MAX, SUFFIXES)?;
    let blocked = security.blocked_ips.len();
    check_length("/security/blockedIPs", blocked, ENTRIES_MAX, NEIGHBOURS)
}

/// A token is told apart by its issuer, and a caller by the name of the provider.
fn check_providers(providers: &[TokenProvider]) -> Result<(), Refusal> {
    check_length("/auth/jwt", providers.len(), PROVIDERS_MAX, "providers")?;
    for (place, provider) in providers.iter().enumerate() {
        let before = &providers[..place];
        let field = if before.iter().any(|one| one.issuer == provider.issuer) {
            "issuer"
        } else if before.iter().any(|one| one.name == provider.name) {
            "name"
        } else {
            continue;
        };
        return Err(Refusal::Invalid {
            pointer: format!("/auth/jwt/{place}/{field}"),
            detail: format!("another provider has the same {field}"),
        });
    }
    Ok(())
}

/// What the type of lists of clients does not hold: their length.
pub(super) fn check_access(access: &Access) -> Result<(), Refusal> {
    check_length(
        "/access/allow",
        access.allow.len(),
        access::ENTRIES_MAX,
        NEIGHBOURS,
    )?;
    check_length("/access/deny", access.deny.len(), access::ENTRIES_MAX, NEIGHBOURS)
}

pub(super) fn check_length(pointer: &str, length: usize, most: usize, advice: &str) -> Result<(), Refusal> {
    if length <= most {
        return Ok(());
    }
    Err(Refusal::Invalid {
        pointer: pointer.to_owned(),
        detail: format!("at most {most} {advice}"),
    })
}

/// What the types of limits do not hold: the length of a text, and what of two fields goes together.
pub(super) fn check_rate_limits(limits: Option<&RateLimits>) -> Result<(), Refusal> {
    let limits = limits.map(RateLimits::as_slice).unwrap_or_default();
    for (place, limit) in limits.iter().enumerate() {
        let place = if limits.len() > 1 {
            format!("/{place}")
        } else {
            String::new()
        };
        if let Some((field, detail)) = wrong_of(limit) {
            return Err(Refusal::Invalid {
                pointer: format!("/rateLimit{place}/{field}"),
                detail,
            });
        }
    }
    Ok(())
}

fn wrong_of(limit: &RateLimit) -> Option<(&'static str, String)> {
    let message = limit.message.as_ref();
    if message.is_some_and(|message| message.chars().count() > MESSAGE_CHARS_MAX) {
        let detail = format!("a message has at most {MESSAGE_CHARS_MAX} characters");
        return Some(("message", detail));
    }
    let burst = limit.burst?;
    if limit.algorithm == Algorithm::SlidingWindow {
        let detail = "a sliding window has no burst: never more than `requests` pass in any window";
        return Some(("burst", detail.to_owned()));
    }
    let window = u64::from(limit.window.get());
    let fills_in = window.saturating_mul(burst.get().into()) / u64::from(limit.requests.get());
    (fills_in > FILL_MILLIS_MAX).then(|| {
        let detail = "after a burst like that it would take more than a year until there can be another";
        ("burst", detail.to_owned())
    })
}

//! The rules of the global settings.

use std::sync::Arc;

use flexgate_schemas::{Event, Settings, event::Entity, policy::RateLimit};

use super::{ConfigState, Entry, Refusal, Warning, entity::Managed};
use crate::routing::Protection;

/// The most networks whose word is taken for where a request comes from.
const TRUSTED_PROXIES_MAX: usize = 1024;
/// The longest text of a refusal, in characters.
const MESSAGE_CHARS_MAX: usize = 512;

impl Managed for Settings {
    type Id = ();

    fn id(&self) -> &() {
        &()
    }

    fn entity((): &()) -> Entity {
        Entity::Settings
    }

    fn entry<'a>(state: &'a ConfigState, (): &()) -> Option<&'a Entry<Self>> {
        Some(state.settings())
    }

    fn updated(value: Arc<Self>) -> Event {
        Event::SettingsUpdated(value)
    }

    fn check(&self, _: &ConfigState) -> Result<(), Refusal> {
        if self.trusted_proxies.len() > TRUSTED_PROXIES_MAX {
            return Err(Refusal::Invalid {
                pointer: "/trustedProxies".to_owned(),
                detail: format!("at most {TRUSTED_PROXIES_MAX} networks; join neighbours into larger ones"),
            });
        }
        check_rate_limit(self.rate_limit.as_ref())
    }

    fn warnings(&self, _: &ConfigState) -> Vec<Warning> {
        let asked_for = self.rate_limit.iter();
        asked_for
            .map(|_| Warning::FailsClosed {
                entity: Entity::Settings,
                protection: Protection::GlobalRateLimit,
            })
            .collect()
    }
}

/// What the type of a limit does not hold: the length of its text.
pub(super) fn check_rate_limit(limit: Option<&RateLimit>) -> Result<(), Refusal> {
    let message = limit.and_then(|limit| limit.message.as_ref());
    if message.is_some_and(|message| message.chars().count() > MESSAGE_CHARS_MAX) {
        return Err(Refusal::Invalid {
            pointer: "/rateLimit/message".to_owned(),
            detail: format!("a message has at most {MESSAGE_CHARS_MAX} characters"),
        });
    }
    Ok(())
}

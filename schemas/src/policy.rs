//! The policies a route or an upstream may ask for. What each does is said here, once; how, in the gateway.

mod auth;

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

pub use self::auth::{Auth, AuthMode, CredentialKind};
use crate::span::Millis;

/// When to stop asking an upstream that fails.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CircuitBreaker {
    /// Whether it acts.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The share of failed requests that opens it, in percent.
    #[serde(default = "CircuitBreaker::threshold", alias = "failureThreshold")]
    pub threshold: Percent,
    /// How long it stays open before it lets a trial through.
    #[serde(default = "CircuitBreaker::open_duration")]
    pub open_duration: Millis,
    /// The fewest requests in the window that say anything.
    #[serde(default = "CircuitBreaker::volume_threshold")]
    pub volume_threshold: NonZeroU32,
    /// The time over which requests are counted.
    #[serde(default = "CircuitBreaker::window", rename = "windowMs", alias = "window")]
    pub window: Millis,
}

impl CircuitBreaker {
    fn threshold() -> Percent {
        Percent(50)
    }
    fn open_duration() -> Millis {
        Millis::new(30_000)
    }
    fn volume_threshold() -> NonZeroU32 {
        const { NonZeroU32::new(20).expect("20 is not zero") }
    }
    fn window() -> Millis {
        Millis::new(10_000)
    }
}

fn yes() -> bool {
    true
}

/// A share, 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub struct Percent(#[schemars(range(min = 1, max = 100))] u8);

impl Percent {
    /// As a number, 1 to 100.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        match u8::try_from(number) {
            Ok(percent @ 1..=100) => Ok(Self(percent)),
            _ => Err(de::Error::custom(format_args!(
                "{number} is no percentage from 1 to 100"
            ))),
        }
    }
}

/// How often a request that failed before an answer came is tried again. Written as a number, or in full.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retries {
    /// Further attempts after the first, 0 to 10.
    #[schemars(range(max = 10))]
    pub attempts: u8,
    /// The pause before the first retry; doubled for each further one, with jitter.
    pub backoff: Millis,
}

/// The most retries of one request.
pub const RETRIES_MAX: u64 = 10;

impl<'de> Deserialize<'de> for Retries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", rename = "Retries", deny_unknown_fields)]
        struct Full {
            attempts: u64,
            #[serde(default = "backoff")]
            backoff: Millis,
        }
        fn backoff() -> Millis {
            Millis::new(50)
        }
        fn checked<E: de::Error>(attempts: u64, backoff: Millis) -> Result<Retries, E> {
            match u8::try_from(attempts) {
                Ok(small) if attempts <= RETRIES_MAX => Ok(Retries {
                    attempts: small,
                    backoff,
                }),
                _ => Err(E::custom(format_args!(
                    "{attempts} retries are too many: at most {RETRIES_MAX}"
                ))),
            }
        }
        struct NumberOrFull;
        impl<'de> de::Visitor<'de> for NumberOrFull {
            type Value = Retries;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a number of retries, or `{attempts, backoff}`")
            }
            fn visit_u64<E: de::Error>(self, attempts: u64) -> Result<Retries, E> {
                checked(attempts, backoff())
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Retries, A::Error> {
                let full = Full::deserialize(de::value::MapAccessDeserializer::new(map))?;
                checked(full.attempts, full.backoff)
            }
        }
        deserializer.deserialize_any(NumberOrFull)
    }
}

/// How an upstream is asked whether it is well.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheck {
    /// Whether it is asked.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The path that is requested.
    #[serde(default = "HealthCheck::path")]
    pub path: crate::PathTemplate,
    /// How often.
    #[serde(default = "HealthCheck::interval")]
    pub interval: Millis,
    /// How long an answer may take.
    #[serde(default = "HealthCheck::timeout")]
    pub timeout: Millis,
    /// Failures in a row that take a target out.
    #[serde(default = "HealthCheck::unhealthy_threshold")]
    pub unhealthy_threshold: NonZeroU32,
    /// Successes in a row that bring it back.
    #[serde(default = "HealthCheck::healthy_threshold")]
    pub healthy_threshold: NonZeroU32,
}

impl HealthCheck {
    fn path() -> crate::PathTemplate {
        "/health".parse().expect("a literal path")
    }
    fn interval() -> Millis {
        Millis::new(10_000)
    }
    fn timeout() -> Millis {
        Millis::new(2_000)
    }
    fn unhealthy_threshold() -> NonZeroU32 {
        const { NonZeroU32::new(3).expect("3 is not zero") }
    }
    fn healthy_threshold() -> NonZeroU32 {
        const { NonZeroU32::new(2).expect("2 is not zero") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breakers_threshold_is_a_percentage_in_both_dialects() {
        let api: CircuitBreaker = serde_json::from_str(r#"{"enabled":true,"threshold":5}"#).unwrap();
        let file: CircuitBreaker = serde_json::from_str(r#"{"failureThreshold":5}"#).unwrap();
        assert_eq!(api, file);
        assert!(serde_json::from_str::<CircuitBreaker>(r#"{"threshold":101}"#).is_err());
        assert!(serde_json::from_str::<CircuitBreaker>(r#"{"threshold":0}"#).is_err());
    }

    #[test]
    fn retries_are_a_number_or_written_in_full() {
        let number: Retries = serde_json::from_str("3").unwrap();
        let full: Retries = serde_json::from_str(r#"{"attempts":3,"backoff":"50ms"}"#).unwrap();
        assert_eq!(number, full);
        assert!(serde_json::from_str::<Retries>("11").is_err());
        assert!(serde_json::from_str::<Retries>(r#"{"attempts":3,"pause":1}"#).is_err());
    }
}

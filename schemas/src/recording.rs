//! What is recorded of requests: which of them have a row of their own, and how much may be seen in it.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use crate::Outcome;

/// What is written of requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logging {
    /// Which requests have a row of their own; all of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sampling: Sampling,
}

/// Which requests have a row of their own. Every request is counted, with its bytes and its time, whether it has one or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sampling {
    /// The share of the successes: answers below 400 that were sent to the end; 1.
    #[serde(default)]
    pub success_rate: Share,
    /// The share of everything else: answers from 400 on, those that broke off, and requests without an answer; 1.
    #[serde(default)]
    pub error_rate: Share,
}

impl Sampling {
    /// Whether a request has a row. The id decides, which is as good as a die, and the same for whoever asks again.
    pub fn keeps(&self, outcome: &Outcome<'_>, id: impl FnOnce() -> Uuid) -> bool {
        let is_success = outcome.status.is_some_and(|status| status < 400) && outcome.error.is_none();
        let rate = if is_success {
            self.success_rate
        } else {
            self.error_rate
        };
        rate == Share::ALL || rate.takes(id())
    }
}

/// A share, from 0 to 1, to the nearest millionth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

impl Share {
    /// All of them.
    pub const ALL: Self = Self(MILLION);

    /// Whether it takes the request of this id: the lowest 32 bits of an id are evenly spread (see [`crate::IdKey`]).
    fn takes(self, id: Uuid) -> bool {
        let die = (id.as_u128() & u128::from(u32::MAX)) * u128::from(MILLION);
        die >> 32 < u128::from(self.0)
    }
}

/// Shares are counted in millionths, since nothing that is folded may depend on how fractions are rounded.
const MILLION: u32 = 1_000_000;

impl Default for Share {
    fn default() -> Self {
        Self::ALL
    }
}

impl TryFrom<f64> for Share {
    type Error = String;
    fn try_from(share: f64) -> Result<Self, String> {
        if !(0.0..=1.0).contains(&share) {
            return Err(format!("{share} is no share from 0 to 1"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number from 0 to a million"
        )]
        Ok(Self((share * f64::from(MILLION)).round() as u32))
    }
}

impl From<Share> for f64 {
    /// The number nearest to the share, which is the one that the same digits are read as.
    fn from(Share(millionths): Share) -> Self {
        Self::from(millionths) / Self::from(MILLION)
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Share({})", f64::from(*self))
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((*self).into())
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer)?
            .try_into()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Share {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Share".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number", "minimum": 0, "maximum": 1,
            "description": "a share, from 0 to 1, to the nearest millionth",
        })
    }
}

/// How much of a request may be seen in its row. Bodies and credentials never are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Privacy {
    /// What stands for its path; the path.
    #[serde(default, skip_serializing_if = "is_default")]
    pub path: PathPrivacy,
    /// Whether its query is there too, if its path is; it is not.
    #[serde(default, skip_serializing_if = "is_default")]
    pub query: bool,
    /// What stands for the address of its client; the address.
    #[serde(default, skip_serializing_if = "is_default")]
    pub client_address: ClientAddress,
}

/// What stands for the path of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PathPrivacy {
    /// The path, as sent.
    #[default]
    Full,
    /// The pattern of the route that took it; `(unrouted)` if none did.
    Template,
}

/// What stands for the address of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ClientAddress {
    /// The address.
    #[default]
    Full,
    /// Its network: the first 24 bits of an IPv4 address, the first 48 of an IPv6 address.
    Prefix,
    /// 16 hexadecimal digits that are the same for the same address on one node until it starts again. They are made with
    /// a random key that is never written down, so nobody finds the address by trying all there are.
    Hash,
    /// Nothing.
    Off,
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IdKey, outcome::UPSTREAM_GONE};

    fn sampling(success: f64, error: f64) -> Sampling {
        Sampling {
            success_rate: success.try_into().unwrap(),
            error_rate: error.try_into().unwrap(),
        }
    }

    fn answered(status: u16) -> Outcome<'static> {
        Outcome {
            status: Some(status),
            ..Outcome::default()
        }
    }

    #[test]
    fn a_share_is_written_as_it_was_read() {
        for text in ["0.0", "1.0", "0.1", "0.3", "0.999999", "0.000001"] {
            let share: Share = serde_json::from_str(text).unwrap();
            assert_eq!(
                serde_json::to_string(&share).unwrap().parse::<f64>(),
                text.parse()
            );
        }
        for text in ["1", "0"] {
            assert!(serde_json::from_str::<Share>(text).is_ok());
        }
        for text in ["1.1", "-0.1", "10", "\"1\""] {
            assert!(serde_json::from_str::<Share>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_of_the_ids_is_taken() {
        let key = IdKey::new(0xfeed);
        for (share, expected) in [(0.0, 0..=0), (0.1, 9_700..=10_300), (1.0, 100_000..=100_000)] {
            let sampling = sampling(share, 1.0);
            let ids = (0..100_000).map(|arrival| key.id(0, arrival, 1_800_000_000_000));
            let kept = ids.filter(|id| sampling.keeps(&answered(200), || *id)).count();
            assert!(expected.contains(&kept), "{kept} of a share of {share}");
        }
    }

    #[test]
    fn a_success_is_an_answer_below_400_that_did_not_break_off() {
        let only_errors = sampling(0.0, 1.0);
        let keeps = |outcome: Outcome<'_>| only_errors.keeps(&outcome, Uuid::nil);
        assert!(!keeps(answered(200)) && !keeps(answered(304)));
        assert!(keeps(answered(404)) && keeps(answered(503)) && keeps(Outcome::default()));
        assert!(keeps(Outcome {
            error: Some(UPSTREAM_GONE),
            ..answered(200)
        }));
    }
}

//! Settings that hold for the whole cluster. Addresses, ports and server URLs are a node's own and never stand here.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{
    Access, Authentication, Compression, Cors, Limits, Millis, Security,
    rate_limit::{RateLimitFields, RateLimits},
    recording::{Logging, Privacy, is_default},
};

/// The global settings; a new value replaces the old one whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Peers whose `X-Forwarded-*` is believed: addresses and networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "networks")]
    #[schemars(with = "Vec<String>", length(max = 1024))]
    pub trusted_proxies: Vec<IpNet>,
    /// How long a response may take to begin, where neither route nor upstream says; 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Millis>,
    /// How long a connection may take to be made, where the upstream does not say; 5 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<Millis>,
    /// Send RFC 7239 `Forwarded` too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub forwarded: bool,
    /// Which pages of other origins may read responses, where the route does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// Whether responses are compressed, where the route does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// From where requests may come. Asked before anything else is, so that whoever is denied learns nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub access: Access,
    /// How many requests all routes together take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimits>,
    /// What responses say of limits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rate_limit_fields: RateLimitFields,
    /// How much clients may send, and how long they may take about it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// What is written of requests.
    #[serde(default, skip_serializing_if = "is_default")]
    pub logging: Logging,
    /// How much of a request may be seen in what is written of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub privacy: Privacy,
    /// Where requests may go.
    #[serde(default, skip_serializing_if = "is_default")]
    pub security: Security,
    /// How clients say who they are.
    #[serde(default, skip_serializing_if = "is_default")]
    pub auth: Authentication,
}

impl Settings {
    /// How long a response may take to begin when nothing is set.
    pub const TIMEOUT: Millis = Millis::new(30_000);
    /// How long a connection may take to be made when nothing is set.
    pub const CONNECT_TIMEOUT: Millis = Millis::new(5_000);

    /// The lowest schema level that can read them: the first one knows neither `logging` nor `privacy`, the second no
    /// `limits` and no `security`, neither `cors` nor `compression`, the third no `access`, no `auth` and not most of `rateLimit`.
    pub fn reader_level(&self) -> u32 {
        let limits = self.rate_limit.as_ref().map_or(1, RateLimits::reader_level);
        if limits > 1 || !is_default(&self.rate_limit_fields) {
            return 4;
        }
        let responses = self.cors.is_some() || self.compression.is_some();
        if !is_default(&self.access) || !is_default(&self.auth) {
            4
        } else if responses || !is_default(&self.limits) || !is_default(&self.security) {
            3
        } else if !is_default(&self.logging) || !is_default(&self.privacy) {
            2
        } else {
            1
        }
    }
}

/// Networks, or single addresses, which are networks of one.
pub(crate) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let networks = Vec::<Network>::deserialize(deserializer)?;
    Ok(networks.into_iter().map(|Network(network)| network).collect())
}

/// One of them, read by itself so that a mistake has its place in the list.
struct Network(IpNet);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let single = || text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse().or_else(|_| single());
        network.map(Self).map_err(|_| {
            de::Error::custom(format_args!(
                "{text:?} is neither an address nor a network such as \"10.0.0.0/8\""
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_network_of_one() {
        let settings: Settings =
            serde_json::from_str(r#"{"trustedProxies":["10.0.0.1","fd00::/8"]}"#).unwrap();
        assert_eq!(settings.trusted_proxies[0].to_string(), "10.0.0.1/32");
        assert!(serde_json::from_str::<Settings>(r#"{"trustedProxies":["somewhere"]}"#).is_err());
    }

    #[test]
    fn only_what_is_asked_for_needs_a_newer_reader() {
        let level = |json: &str| serde_json::from_str::<Settings>(json).unwrap().reader_level();
        assert_eq!(
            level(r#"{"timeout":"5s","privacy":{"query":false},"logging":{"sampling":{}}}"#),
            1
        );
        assert_eq!(level(r#"{"limits":{}}"#), 1);
        assert_eq!(level(r#"{"limits":{"maxBodySize":1}}"#), 3);
        assert_eq!(level(r#"{"privacy":{"path":"template"}}"#), 2);
        assert_eq!(
            level(r#"{"privacy":{"path":"template"},"cors":{"enabled":false}}"#),
            3
        );
        assert_eq!(level(r#"{"compression":{}}"#), 3);
        assert_eq!(level(r#"{"access":{}}"#), 1);
        assert_eq!(level(r#"{"access":{"deny":["::1"]}}"#), 4);
        assert_eq!(level(r#"{"logging":{"sampling":{"successRate":0.1}}}"#), 2);
        assert_eq!(level(r#"{"rateLimit":{"requests":1,"window":1}}"#), 1);
        assert_eq!(level(r#"{"rateLimit":{"requests":1,"window":1,"burst":2}}"#), 4);
        assert_eq!(level(r#"{"rateLimitFields":{"legacy":true}}"#), 4);
        assert_eq!(level(r#"{"security":{"blockedIPs":[]}}"#), 1);
        assert_eq!(level(r#"{"security":{"blockedIPs":["10.0.0.1"]}}"#), 3);
        assert_eq!(level(r#"{"security":{"allowedHosts":[]}}"#), 3);
        assert_eq!(level(r#"{"auth":{}}"#), 1);
        assert_eq!(level(r#"{"auth":{"forwardCredential":true}}"#), 4);
    }
}

//! Settings that hold for the whole cluster. Addresses, ports and server URLs are a node's own and never stand here.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Compression, Cors, Millis,
    policy::RateLimit,
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
    /// How many requests all routes together take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// What is written of requests.
    #[serde(default, skip_serializing_if = "is_default")]
    pub logging: Logging,
    /// How much of a request may be seen in what is written of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub privacy: Privacy,
}

impl Settings {
    /// How long a response may take to begin when nothing is set.
    pub const TIMEOUT: Millis = Millis::new(30_000);
    /// How long a connection may take to be made when nothing is set.
    pub const CONNECT_TIMEOUT: Millis = Millis::new(5_000);

    /// The lowest schema level that can read them: `logging` and `privacy` came with the second, `cors` and `compression`
    /// with the third.
    pub fn reader_level(&self) -> u32 {
        if self.cors.is_some() || self.compression.is_some() {
            3
        } else if is_default(&self.logging) && is_default(&self.privacy) {
            1
        } else {
            2
        }
    }
}

/// Networks, or single addresses, which are networks of one.
fn networks<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: String| {
        let single = || text.parse::<std::net::IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or_else(|_| single()).map_err(|_| {
            serde::de::Error::custom(format_args!(
                "{text:?} is neither an address nor a network such as \"10.0.0.0/8\""
            ))
        })
    };
    Vec::<String>::deserialize(deserializer)?
        .into_iter()
        .map(network)
        .collect()
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
        assert_eq!(level(r#"{"privacy":{"path":"template"}}"#), 2);
        assert_eq!(
            level(r#"{"privacy":{"path":"template"},"cors":{"enabled":false}}"#),
            3
        );
        assert_eq!(level(r#"{"compression":{}}"#), 3);
        assert_eq!(level(r#"{"logging":{"sampling":{"successRate":0.1}}}"#), 2);
    }
}

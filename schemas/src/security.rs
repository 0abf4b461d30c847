//! Where requests may go: what operators list, and the hosts that the lists are about.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{HostPattern, host::HostError, settings::networks};

/// The most entries of each list. A list is looked through for every new connection.
pub const ENTRIES_MAX: usize = 1024;

/// Where requests may go and where not, beside what no request ever reaches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Security {
    /// The only hosts that requests go to, beside those that upstreams name; absent: any. A link-local or metadata
    /// address is reached only when it is listed itself, and so is the name that leads there, if it is a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = ENTRIES_MAX))]
    pub allowed_hosts: Option<Vec<AllowedHost>>,
    /// Addresses and networks that no request goes to, whatever else allows it.
    #[serde(
        default,
        rename = "blockedIPs",
        alias = "blockedIps",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "networks"
    )]
    #[schemars(with = "Vec<String>", length(max = ENTRIES_MAX))]
    pub blocked_ips: Vec<IpNet>,
}

/// One entry of `allowedHosts`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AllowedHost {
    /// This address, in whatever form it is written.
    Address(IpAddr),
    /// A name, or all names below one.
    Name(HostPattern),
}

/// Why a string is no entry of `allowedHosts`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowedHostError {
    /// Neither an address nor a name.
    #[error(transparent)]
    Host(#[from] HostError),
    /// An address in a form that not every program reads as one.
    #[error("{0:?} is an address to some programs and a name to others: write it as 127.0.0.1 is written")]
    Number(Box<str>),
}

impl FromStr for AllowedHost {
    type Err = AllowedHostError;
    fn from_str(text: &str) -> Result<Self, AllowedHostError> {
        match Host::of(text) {
            Host::Address(address) => Ok(Self::Address(address)),
            Host::Number(text) => Err(AllowedHostError::Number(text)),
            Host::Name(name) => Ok(Self::Name(name.parse()?)),
        }
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(out),
            Self::Name(pattern) => pattern.fmt(out),
        }
    }
}

text_value!(
    AllowedHost,
    "a host name, `*.` and a suffix, or an address",
    r"^(\*\.)?[A-Za-z0-9._-]+$|^\[?[0-9A-Fa-f:.]+\]?$"
);

/// The host of a URL, as far as it says itself where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An address; an IPv4 address in IPv6 clothes is the IPv4 address.
    Address(IpAddr),
    /// A name, in lower case and without the dot of the root.
    Name(Box<str>),
    /// What ends in a number and is no address as addresses are written: `2130706433`, `0x7f.1`, `0177.0.0.1`. The URL
    /// standard, curl and the C library read an IPv4 address in it, others a name, and no such name exists (RFC 3696 2).
    Number(Box<str>),
}

impl Host {
    /// Reads the host of a URL, or of a list; IPv6 with brackets or without.
    pub fn of(text: &str) -> Self {
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Self::Address(address.to_canonical());
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if ends_in_a_number(name) {
            Self::Number(text.into())
        } else {
            Self::Name(name.to_ascii_lowercase().into())
        }
    }

    /// The address, if it is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Name(_) | Self::Number(_) => None,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(out),
            Self::Name(text) | Self::Number(text) => out.write_str(text),
        }
    }
}

/// What the URL standard asks to find out whether a host is an IPv4 address (WHATWG URL, "ends in a number").
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let decimal = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    let hexadecimal = last
        .strip_prefix("0x")
        .or_else(|| last.strip_prefix("0X"))
        .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    decimal || hexadecimal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_in_every_form_that_all_programs_agree_on() {
        for (text, address) in [
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "::1"),
            ("::1", "::1"),
            ("[::ffff:169.254.169.254]", "169.254.169.254"),
            ("[::ffff:a9fe:a9fe]", "169.254.169.254"),
        ] {
            assert_eq!(Host::of(text), Host::Address(address.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_number_is_neither_an_address_nor_a_name() {
        for text in [
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "127.1",
            "127.0.0.1.",
            "1.2.3.4.5",
            "a.0X",
            "256.0.0.1",
        ] {
            assert_eq!(Host::of(text), Host::Number(text.into()));
            assert!(text.parse::<AllowedHost>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_has_one_form() {
        for text in ["api.example.com", "API.Example.com."] {
            assert_eq!(Host::of(text), Host::Name("api.example.com".into()));
        }
        for text in ["localhost", "node-1", "1.example", "0xcafe.example", "x1"] {
            assert!(matches!(Host::of(text), Host::Name(_)), "{text}");
        }
    }

    #[test]
    fn lists_take_addresses_names_and_networks() {
        let json = r#"{"allowedHosts":["[FD00::1]","::ffff:10.0.0.1","*.Example.com"],"blockedIPs":["10.0.0.7","fd00::/8"]}"#;
        let security: Security = serde_json::from_str(json).unwrap();
        assert_eq!(
            serde_json::to_string(&security).unwrap(),
            r#"{"allowedHosts":["fd00::1","10.0.0.1","*.example.com"],"blockedIPs":["10.0.0.7/32","fd00::/8"]}"#
        );
        for wrong in [
            r#"{"allowedHosts":["http://a"]}"#,
            r#"{"allowedHosts":["10.0.0.0/8"]}"#,
            r#"{"blockedIPs":["a.example"]}"#,
            r#"{"blocked":[]}"#,
        ] {
            assert!(serde_json::from_str::<Security>(wrong).is_err(), "{wrong}");
        }
    }
}

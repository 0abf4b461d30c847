//! How an upstream is spoken to: which version of HTTP, and what of TLS differs from the default.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Secret;

/// Which version of HTTP an upstream is spoken to in.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Protocol {
    /// Over TLS what the upstream chooses (ALPN), HTTP/1.1 otherwise.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: over TLS by ALPN, otherwise with prior knowledge. What gRPC needs.
    Http2,
}

impl Protocol {
    /// Whether nothing was asked for.
    pub fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

/// TLS towards an upstream, where it differs from the default: the system's certificate authorities, the host of the URL as
/// the name, and no certificate of our own.
///
/// Certificates and keys are references, which each node resolves when the upstream changes or the node starts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamTls {
    /// Who may have signed its certificate, in PEM: only these, instead of the system's authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Secret>,
    /// The name to ask for (SNI) and to hold its certificate against, instead of the host of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<ServerName>,
    /// What the gateway shows of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
}

impl UpstreamTls {
    /// Everything in it that is a secret, or stands where one could.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let own = self.client_certificate.iter();
        let own = own.flat_map(|own| [&own.certificate, &own.key]);
        self.ca.iter().chain(own)
    }
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientCertificate {
    /// The certificate and those between it and an authority, in PEM.
    pub certificate: Secret,
    /// Its private key, in PEM.
    pub key: Secret,
}

/// A name that a certificate can be for: a DNS name or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName(Box<str>);

impl ServerName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Not a name that a certificate can be for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a DNS name such as \"api.internal\" nor an address")]
pub struct ServerNameError(String);

impl FromStr for ServerName {
    type Err = ServerNameError;
    fn from_str(text: &str) -> Result<Self, ServerNameError> {
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let is_address = text.parse::<std::net::IpAddr>().is_ok();
        if is_address || text.len() <= 253 && text.split('.').all(is_label) {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            Err(ServerNameError(text.to_owned()))
        }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

text_value!(
    ServerName,
    "a DNS name or an address",
    r"^[A-Za-z0-9._:-]{1,253}$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_name_is_a_dns_name_or_an_address() {
        let check = |text: &str, fits: bool| assert_eq!(text.parse::<ServerName>().is_ok(), fits, "{text}");
        check("api.internal", true);
        check("API", true);
        check("10.0.0.1", true);
        check("::1", true);
        check("", false);
        check("a..b", false);
        check("-a", false);
        check("a b", false);
        check("https://a", false);
        check(&"a".repeat(64), false);
    }

    #[test]
    fn a_key_in_the_clear_is_refused() {
        let json =
            r#"{"clientCertificate":{"certificate":"file:/c.pem","key":"-----BEGIN PRIVATE KEY-----"}}"#;
        let error = serde_json::from_str::<UpstreamTls>(json).unwrap_err().to_string();
        assert!(
            error.contains("never stored in the clear") && !error.contains("BEGIN"),
            "{error}"
        );
    }
}

//! A host and perhaps a port: `api.internal`, `api.internal:8080`, `[::1]:80`.

use std::{fmt, str::FromStr};

use crate::{HostPattern, host::HostError};

/// What stands in a `Host` field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Authority(Box<str>);

/// Why a string is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// The part before the port is no host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A pattern, where one host is asked for.
    #[error("{0:?} stands for many hosts, and one is sent")]
    Pattern(String),
    /// A port that is no port.
    #[error("{0:?} has no valid port: 1 to 65535")]
    Port(String),
}

impl Authority {
    /// As text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The pattern of a host, and the port if there is one.
pub(crate) fn host_and_port(text: &str) -> Result<(HostPattern, Option<u16>), AuthorityError> {
    let name_end = text.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = text[name_end..].find(':') else {
        return Ok((text.parse()?, None));
    };
    let (host, port) = text.split_at(name_end + colon);
    match port[1..].parse() {
        Ok(port @ 1..) if text.as_bytes()[host.len() + 1].is_ascii_digit() => Ok((host.parse()?, Some(port))),
        _ => Err(AuthorityError::Port(text.to_owned())),
    }
}

impl FromStr for Authority {
    type Err = AuthorityError;
    fn from_str(text: &str) -> Result<Self, AuthorityError> {
        match host_and_port(text)? {
            (HostPattern::Wildcard(_), _) => Err(AuthorityError::Pattern(text.to_owned())),
            (HostPattern::Exact(host), None) => Ok(Self(host)),
            (HostPattern::Exact(host), Some(port)) => Ok(Self(format!("{host}:{port}").into())),
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

text_value!(
    Authority,
    "a host name or address, with a port if it is not the default one",
    r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_written_in_lower_case() {
        let check = |text: &str, written: &str| {
            assert_eq!(text.parse::<Authority>().unwrap().to_string(), written);
        };
        check("API.internal", "api.internal");
        check("api:8080", "api:8080");
        check("[0:0::1]:80", "[::1]:80");
        check("[::1]", "[::1]");
    }

    #[test]
    fn what_no_host_field_should_have_is_refused() {
        for text in [
            "", ":80", "a:", "a:0", "a:+1", "a:99999", "a:80:81", "*.a", "http://a", "u@a", "a/b", "a b",
            "::1", "a\r\nb",
        ] {
            assert!(text.parse::<Authority>().is_err(), "{text:?}");
        }
    }
}

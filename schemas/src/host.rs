//! Host patterns of routes: `api.example.com`, or `*.example.com` for every name below.

use std::{fmt, str::FromStr};

/// The longest host name, in bytes (RFC 1035 2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// What a request's host must be, in lower case and without a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// This host and no other.
    Exact(Box<str>),
    /// Any name with at least one label before this suffix, which is kept without the `*.`.
    Wildcard(Box<str>),
}

/// Why a string is not a host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing, or an empty label.
    #[error("{0:?} is not a host name: a label is empty")]
    Empty(String),
    /// A port, a path, a wildcard in the middle, or a character no host has.
    #[error(
        "{0:?} is not a host pattern: write a name without scheme and port, with `*.` only at the front (`*.example.com`)"
    )]
    Syntax(String),
    /// Longer than a name can be.
    #[error("a host name has at most {HOST_BYTES_MAX} characters")]
    TooLong,
}

impl HostPattern {
    /// Whether a host, already in lower case and without a port, fits.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *host,
            Self::Wildcard(suffix) => host
                .strip_suffix(&**suffix)
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|label| !label.is_empty()),
        }
    }

    /// Whether every host that fits `other` fits this pattern too.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(host)) => self.matches(host),
            (Self::Exact(_), Self::Wildcard(_)) => false,
            (Self::Wildcard(mine), Self::Wildcard(theirs)) => mine == theirs || self.matches(theirs),
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostError;
    fn from_str(text: &str) -> Result<Self, HostError> {
        let name = text.to_ascii_lowercase();
        let (wildcard, name) = match name.strip_prefix("*.") {
            Some(suffix) => (true, suffix),
            None => (false, &*name),
        };
        if name.len() > HOST_BYTES_MAX {
            return Err(HostError::TooLong);
        }
        let literal = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let (false, Some(address)) = (wildcard, literal) {
            return match address.parse::<std::net::Ipv6Addr>() {
                Ok(address) => Ok(Self::Exact(format!("[{address}]").into())),
                Err(_) => Err(HostError::Syntax(text.to_owned())),
            };
        }
        if name.split('.').any(str::is_empty) {
            return Err(HostError::Empty(text.to_owned()));
        }
        if !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        {
            return Err(HostError::Syntax(text.to_owned()));
        }
        Ok(if wildcard {
            Self::Wildcard(name.into())
        } else {
            Self::Exact(name.into())
        })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => out.write_str(name),
            Self::Wildcard(suffix) => write!(out, "*.{suffix}"),
        }
    }
}

text_value!(
    HostPattern,
    "a host name, or `*.` and a suffix",
    r"^(\*\.)?[A-Za-z0-9._-]+$|^\[[0-9A-Fa-f:.]+\]$"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_wildcard_needs_at_least_one_label_more() {
        let wildcard = pattern("*.Example.com");
        assert!(wildcard.matches("a.example.com"));
        assert!(wildcard.matches("a.b.example.com"));
        assert!(!wildcard.matches("example.com"));
        assert!(!wildcard.matches(".example.com"));
        assert!(!wildcard.matches("aexample.com"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", "a..b", "http://a", "a:80", "a.*.b", "*", "*.", "a b", "[zz]"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_wildcard_covers_what_lies_below_it() {
        assert!(pattern("*.example.com").covers(&pattern("*.a.example.com")));
        assert!(pattern("*.example.com").covers(&pattern("a.example.com")));
        assert!(!pattern("*.a.example.com").covers(&pattern("*.example.com")));
    }
}

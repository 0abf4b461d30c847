//! Addresses of upstreams: `http://host:port/base`, without credentials, query or fragment.

use std::{fmt, str::FromStr};

use http::{Uri, uri::Scheme};

/// Where an upstream is reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamUrl {
    https: bool,
    host: Box<str>,
    port: Option<u16>,
    base: Box<str>,
}

/// Why a string is not the URL of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// No URL at all.
    #[error("{0:?} is not a URL: write `http://host:port`")]
    Syntax(String),
    /// Neither http nor https.
    #[error("{0:?} is neither `http` nor `https`")]
    Scheme(String),
    /// Credentials would be stored in the clear.
    #[error(
        "a URL must not carry credentials: events are kept for ever; use the upstream's `authorization` field"
    )]
    Credentials,
    /// A query cannot be part of an upstream.
    #[error("an upstream's URL has no query")]
    Query,
    /// A port that is no port.
    #[error("{0:?} has no valid port: 1 to 65535")]
    Port(String),
    /// A base path with dot segments or escapes.
    #[error("the path {0:?} of an upstream is made of plain segments, without `.`, `..` and escapes")]
    Path(String),
}

impl UpstreamUrl {
    /// Whether the connection is TLS.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Host name or address, IPv6 in brackets, lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.https { 443 } else { 80 })
    }

    /// Host, and the port where it is not the scheme's own: the `Host` field of requests.
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        }
    }

    /// The path that precedes every request's path; without a trailing slash, so often empty.
    pub fn base(&self) -> &str {
        &self.base
    }
}

impl FromStr for UpstreamUrl {
    type Err = UrlError;
    fn from_str(text: &str) -> Result<Self, UrlError> {
        let uri: Uri = text.parse().map_err(|_| UrlError::Syntax(text.to_owned()))?;
        let https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) => return Err(UrlError::Scheme(scheme.to_string())),
            None => return Err(UrlError::Syntax(text.to_owned())),
        };
        let authority = uri.authority().ok_or_else(|| UrlError::Syntax(text.to_owned()))?;
        if authority.as_str().contains('@') {
            return Err(UrlError::Credentials);
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(UrlError::Query);
        }
        let host = authority.host().to_ascii_lowercase();
        if host.is_empty() {
            return Err(UrlError::Syntax(text.to_owned()));
        }
        let port = match authority.as_str()[authority.host().len()..].strip_prefix(':') {
            None => None,
            Some(digits) => match digits.parse() {
                Ok(0) | Err(_) => return Err(UrlError::Port(text.to_owned())),
                Ok(port) => Some(port),
            },
        };
        let default_port = if https { 443 } else { 80 };
        let base = uri.path().trim_end_matches('/');
        if base.contains('%') || base.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(UrlError::Path(base.to_owned()));
        }
        Ok(Self {
            https,
            host: host.into(),
            port: port.filter(|port| *port != default_port),
            base: base.into(),
        })
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}://{}{}",
            if self.https { "https" } else { "http" },
            self.authority(),
            self.base
        )
    }
}

text_value!(
    UpstreamUrl,
    "the URL of an upstream: `http://host:port`",
    "^https?://[^@?#]+$"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<UpstreamUrl, UrlError> {
        text.parse()
    }

    #[test]
    fn a_url_is_kept_in_one_form() {
        assert_eq!(
            url("HTTP://LocalHost:8080/").unwrap().to_string(),
            "http://localhost:8080"
        );
        assert_eq!(
            url("https://api.example.com:443/v1/").unwrap().to_string(),
            "https://api.example.com/v1"
        );
        assert_eq!(url("http://[::1]:81").unwrap().host(), "[::1]");
        assert_eq!(url("https://a").unwrap().port(), 443);
    }

    #[test]
    fn what_cannot_be_an_upstream_is_refused() {
        assert_eq!(url("https://user:pw@a"), Err(UrlError::Credentials));
        assert_eq!(url("ftp://a"), Err(UrlError::Scheme("ftp".into())));
        assert_eq!(url("http://a?b=1"), Err(UrlError::Query));
        assert_eq!(url("http://a:0"), Err(UrlError::Port("http://a:0".into())));
        assert_eq!(url("http://a/../b"), Err(UrlError::Path("/../b".into())));
        for text in ["", "a", "localhost:8080", "http://", "/a", "http://a:99999"] {
            assert!(url(text).is_err(), "{text}");
        }
    }
}

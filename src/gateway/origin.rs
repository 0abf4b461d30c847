//! Origins: the places that upstreams' targets are reached at, each known by one number for as long as it is in use.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use flexgate_schemas::{
    UpstreamUrl,
    security::Host,
    transport::{Protocol, UpstreamTls},
};
use http::HeaderValue;

use super::{snapshot::Secrets, tls::OriginTls};

/// A scheme, a host and a port, and how it is spoken to there. Connections are pooled per origin, so that they survive edits of routes and upstreams,
/// and upstreams that share a server share its connections.
#[derive(Debug)]
pub(super) struct Origin {
    /// Never given to another origin, so that a pool cannot mistake one for the other.
    pub(super) id: u64,
    /// The name or address, IPv6 without brackets.
    pub(super) host: Box<str>,
    /// The same, as lists of hosts know it.
    pub(super) known_as: Host,
    /// The port to connect to.
    pub(super) port: u16,
    /// Which version of HTTP it is spoken to in.
    pub(super) protocol: Protocol,
    /// None for plain HTTP.
    pub(super) tls: Option<OriginTls>,
    /// The `Host` field.
    pub(super) authority: HeaderValue,
    /// Host and port, also where the port is the scheme's own.
    pub(super) place: Box<str>,
}

type Key = (bool, Box<str>, u16, Protocol, Option<UpstreamTls>);

/// The origins in use. One per process, changed only while a snapshot is built.
#[derive(Debug, Default)]
pub(super) struct Origins {
    known: HashMap<Key, Weak<Origin>>,
    last_id: u64,
    /// Size of `known` at which the dead ones are looked for again.
    tidy_at: usize,
}

impl Origins {
    /// The origin of a target; none, with a warning, if its host is no name that a certificate or a `Host` field can carry,
    /// or what TLS needs is not on this node.
    pub(super) fn of(
        &mut self,
        url: &UpstreamUrl,
        (protocol, tls): (Protocol, Option<&UpstreamTls>),
        secrets: &Secrets,
    ) -> Option<Arc<Origin>> {
        let key = (
            url.is_https(),
            url.host().into(),
            url.port(),
            protocol,
            tls.cloned(),
        );
        if let Some(origin) = self.known.get(&key).and_then(Weak::upgrade) {
            return Some(origin);
        }
        let host = url.host().trim_matches(['[', ']']);
        let encryption = url
            .is_https()
            .then(|| OriginTls::resolve(url, protocol, tls, secrets));
        let encryption = encryption.transpose().map_err(|reason| {
            tracing::warn!(%url, %reason, "a target cannot be reached over TLS: it gets no requests");
        });
        let origin = Arc::new(Origin {
            id: self.last_id + 1,
            host: host.into(),
            known_as: Host::of(url.host()),
            port: url.port(),
            protocol,
            tls: encryption.ok()?,
            authority: HeaderValue::try_from(url.authority()).ok()?,
            place: format!("{}:{}", url.host(), url.port()).into(),
        });
        self.last_id += 1;
        self.known.insert(key, Arc::downgrade(&origin));
        Some(origin)
    }

    /// Lets go of origins that no snapshot and no connection knows any more. Looks only when the map has doubled, so
    /// that an edit stays cheap.
    pub(super) fn forget_unused(&mut self) {
        if self.known.len() >= self.tidy_at {
            self.known.retain(|_, origin| origin.strong_count() > 0);
            self.tidy_at = 2 * self.known.len().max(512);
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;

    use super::*;

    fn origin(origins: &mut Origins, url: &str) -> Arc<Origin> {
        spoken_to(origins, url, Protocol::Auto)
    }

    fn spoken_to(origins: &mut Origins, url: &str, protocol: Protocol) -> Arc<Origin> {
        let secrets: Secrets = Arc::new(|secret, _| Err(crate::gateway::SecretMissing(secret.to_string())));
        origins
            .of(&url.parse().unwrap(), (protocol, None), &secrets)
            .unwrap()
    }

    #[test]
    fn an_origin_is_known_by_its_place_and_how_it_is_spoken_to() {
        let mut origins = Origins::default();
        let first = origin(&mut origins, "http://a:80/v1");
        assert_eq!(first.id, origin(&mut origins, "http://a").id);
        assert_ne!(first.id, origin(&mut origins, "http://a:81").id);
        assert_ne!(first.id, origin(&mut origins, "https://a:80").id);
        assert_ne!(first.id, spoken_to(&mut origins, "http://a", Protocol::Http2).id);
    }

    #[test]
    fn a_number_is_never_used_again() {
        let mut origins = Origins::default();
        let first = origin(&mut origins, "http://a").id;
        origins.forget_unused();
        assert_ne!(first, origin(&mut origins, "http://a").id);
    }

    #[test]
    fn an_address_needs_no_resolver() {
        let mut origins = Origins::default();
        let v6 = origin(&mut origins, "https://[::1]:8443");
        assert_eq!(v6.known_as.address(), Some("::1".parse().unwrap()));
        assert_eq!(
            (v6.authority.to_str().unwrap(), &*v6.place),
            ("[::1]:8443", "[::1]:8443")
        );
        assert_eq!(&*origin(&mut origins, "http://a").place, "a:80");
        assert!(matches!(v6.tls.as_ref().unwrap().name, ServerName::IpAddress(_)));
        assert_eq!(origin(&mut origins, "http://localhost").known_as.address(), None);
    }
}

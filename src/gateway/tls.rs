//! TLS towards upstreams.

use std::sync::{Arc, OnceLock};

use flexgate_schemas::{
    Secret, UpstreamUrl,
    secret::Purpose,
    transport::{self, Protocol, UpstreamTls},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio_rustls::TlsConnector;

use super::snapshot::Secrets;

/// What the two sides call HTTP/1.1 and HTTP/2 when they agree on one of them (RFC 7301).
pub(super) const ALPN_HTTP1: &[u8] = b"http/1.1";
pub(super) const ALPN_HTTP2: &[u8] = b"h2";

/// Whose certificates upstreams may have.
#[derive(Debug, Clone, Default)]
pub enum Roots {
    /// Those that the operating system trusts.
    #[default]
    System,
    /// These and no others.
    Only(Vec<CertificateDer<'static>>),
}

/// What every TLS client of the process has in common. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Tls(Arc<RootCertStore>);

/// TLS towards one origin.
#[derive(Debug)]
pub(super) struct OriginTls {
    /// The name to ask for, and to hold its certificate against.
    pub(super) name: ServerName<'static>,
    protocol: Protocol,
    /// Who may have signed its certificate, if not those that all origins have in common.
    authorities: Option<Vec<CertificateDer<'static>>>,
    identity: Option<Identity>,
    /// Made for the first connection. All cores share its sessions, so that a new connection is resumed.
    config: OnceLock<Result<Arc<ClientConfig>, rustls::Error>>,
    /// The same, for what begins in HTTP/1.1 whatever else the upstream speaks.
    config_http1: OnceLock<Result<Arc<ClientConfig>, rustls::Error>>,
}

/// What the gateway shows of itself.
#[derive(Debug)]
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Why there is no TLS towards an upstream. Never has a part of a key.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsMissing {
    /// A reference that stands for nothing on this node.
    #[error(transparent)]
    Secret(#[from] super::SecretMissing),
    /// What it stands for is no PEM of the kind that is needed.
    #[error("{0:?} is not PEM with {1}")]
    Pem(Secret, &'static str),
    /// The host is no name that a certificate can be for.
    #[error("{0:?} is no name that a certificate can be for")]
    Name(Box<str>),
}

impl Tls {
    /// Reads the roots. One that cannot be read is left out, with a warning: an upstream that needs it fails on its own.
    pub(super) fn new(roots: &Roots) -> Self {
        let mut store = RootCertStore::empty();
        match roots {
            Roots::System => {
                let found = rustls_native_certs::load_native_certs();
                for error in &found.errors {
                    tracing::warn!(%error, "a trusted certificate of the system cannot be read");
                }
                store.add_parsable_certificates(found.certs);
            }
            Roots::Only(certificates) => {
                store.add_parsable_certificates(certificates.iter().cloned());
            }
        }
        Self(Arc::new(store))
    }

    /// The client for an origin; one that speaks nothing but HTTP/1.1 if need be.
    pub(super) fn connector(
        &self,
        origin: &OriginTls,
        only_http1: bool,
    ) -> Result<TlsConnector, rustls::Error> {
        let (config, protocol) = if only_http1 {
            (&origin.config_http1, Protocol::Http1)
        } else {
            (&origin.config, origin.protocol)
        };
        let config = config.get_or_init(|| self.configure(origin, protocol));
        config.clone().map(TlsConnector::from)
    }

    fn configure(&self, origin: &OriginTls, protocol: Protocol) -> Result<Arc<ClientConfig>, rustls::Error> {
        let offered: &[&[u8]] = match protocol {
            Protocol::Auto => &[ALPN_HTTP2, ALPN_HTTP1],
            Protocol::Http1 => &[ALPN_HTTP1],
            Protocol::Http2 => &[ALPN_HTTP2],
        };
        let roots = match &origin.authorities {
            None => Arc::clone(&self.0),
            Some(authorities) => {
                let mut store = RootCertStore::empty();
                store.add_parsable_certificates(authorities.iter().cloned());
                Arc::new(store)
            }
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut config = match &origin.identity {
            None => builder.with_no_client_auth(),
            Some(Identity { chain, key }) => builder.with_client_auth_cert(chain.clone(), key.clone_key())?,
        };
        config.alpn_protocols = offered.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

impl OriginTls {
    /// What a target needs, with everything that an upstream's settings refer to.
    pub(super) fn resolve(
        url: &UpstreamUrl,
        protocol: Protocol,
        settings: Option<&UpstreamTls>,
        secrets: &Secrets,
    ) -> Result<Self, TlsMissing> {
        let settings = settings.cloned().unwrap_or_default();
        let asked_for = settings.server_name.as_ref().map(transport::ServerName::as_str);
        let name = asked_for.unwrap_or(url.host().trim_matches(['[', ']']));
        let authorities = settings.ca.map(|ca| certificates(&ca, secrets)).transpose()?;
        let identity = settings
            .client_certificate
            .map(|client| {
                let chain = certificates(&client.certificate, secrets)?;
                let key = PrivateKeyDer::from_pem_slice(secrets(&client.key, Purpose::Upstream)?.as_bytes())
                    .map_err(|_| TlsMissing::Pem(client.key, "a private key"))?;
                Ok::<_, TlsMissing>(Identity { chain, key })
            })
            .transpose()?;
        Ok(Self {
            name: ServerName::try_from(name.to_owned()).map_err(|_| TlsMissing::Name(name.into()))?,
            protocol,
            authorities,
            identity,
            config: OnceLock::new(),
            config_http1: OnceLock::new(),
        })
    }
}

fn certificates(reference: &Secret, secrets: &Secrets) -> Result<Vec<CertificateDer<'static>>, TlsMissing> {
    let pem = secrets(reference, Purpose::Upstream)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsMissing::Pem(reference.clone(), "certificates")),
    }
}

//! TLS towards upstreams: one configuration for the whole process.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::CertificateDer};
use tokio_rustls::TlsConnector;

/// Whose certificates upstreams may have.
#[derive(Debug, Clone, Default)]
pub enum Roots {
    /// Those that the operating system trusts.
    #[default]
    System,
    /// These and no others.
    Only(Vec<CertificateDer<'static>>),
}

/// Makes TLS clients. Clones share sessions, so that a new connection to a known upstream is resumed.
#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

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
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has ciphers for TLS 1.2 and 1.3")
            .with_root_certificates(store)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(TlsConnector::from(Arc::new(config)))
    }

    /// The configured client.
    pub(super) fn connector(&self) -> &TlsConnector {
        &self.0
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Tls")
    }
}

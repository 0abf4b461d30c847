//! TLS with clients: which certificate each is shown, and what is asked of it. Certificates are read again without a restart.

use std::{fs, io, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    client::verify_server_name,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio_rustls::TlsAcceptor;

use super::tls::{ALPN_HTTP1, ALPN_HTTP2};

/// Where the certificates of a listener are, and what it asks of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// At least one. A client is shown the first that is for the name it asks for (SNI), else the very first.
    pub certificates: Vec<CertificateFiles>,
    /// The lowest version of TLS that is spoken.
    pub version_min: TlsVersion,
    /// What is asked of clients.
    pub clients: ClientAuth,
}

/// A certificate with its chain, and its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and those between it and an authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// 1.2 (RFC 5246).
    #[default]
    Tls12,
    /// 1.3 (RFC 8446).
    Tls13,
}

/// Whether clients show certificates. Those that do must have one of these authorities, in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They may.
    Optional(PathBuf),
    /// They must.
    Required(PathBuf),
}

/// Why TLS cannot be spoken with these files. Never has a part of a key.
#[derive(Debug, thiserror::Error)]
pub enum TlsFilesError {
    /// A file that cannot be read.
    #[error("{0}: {1}")]
    Unreadable(PathBuf, io::Error),
    /// A file without what it should have.
    #[error("{0} has no {1} in PEM")]
    Empty(PathBuf, &'static str),
    /// Files that do not go together, or that are of a kind nobody can use.
    #[error("{0}: {1}")]
    Unusable(PathBuf, String),
}

/// TLS with the clients of one listener. Clones share it: what one reloads, all use for the next connection.
#[derive(Clone)]
pub struct InboundTls {
    files: Arc<TlsFiles>,
    config: Arc<ArcSwap<ServerConfig>>,
}

impl InboundTls {
    /// Reads the files.
    pub fn load(files: TlsFiles) -> Result<Self, TlsFilesError> {
        let config = configure(&files)?;
        Ok(Self {
            files: Arc::new(files),
            config: Arc::new(ArcSwap::from_pointee(config)),
        })
    }

    /// Reads the files again. Connections that are open keep what they began with; after an error, new ones do too.
    pub fn reload(&self) -> Result<(), TlsFilesError> {
        self.config.store(Arc::new(configure(&self.files)?));
        Ok(())
    }

    /// Every file that it was read from.
    pub fn paths(&self) -> Vec<PathBuf> {
        let pairs = self.files.certificates.iter();
        let own = pairs.flat_map(|pair| [pair.certificate.clone(), pair.key.clone()]);
        own.chain(match &self.files.clients {
            ClientAuth::None => None,
            ClientAuth::Optional(path) | ClientAuth::Required(path) => Some(path.clone()),
        })
        .collect()
    }

    /// For the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }
}

impl std::fmt::Debug for InboundTls {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "InboundTls({:?})", self.files)
    }
}

fn configure(files: &TlsFiles) -> Result<ServerConfig, TlsFilesError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions = match files.version_min {
        TlsVersion::Tls12 => &[&TLS13, &TLS12][..],
        TlsVersion::Tls13 => &[&TLS13],
    };
    let read = |pair| certified(pair, &provider);
    let certificates: Vec<_> = files.certificates.iter().map(read).collect::<Result<_, _>>()?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("the provider has ciphers for TLS 1.2 and 1.3");
    let builder = match &files.clients {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Optional(path) | ClientAuth::Required(path) => {
            let unusable = |error: String| TlsFilesError::Unusable(path.clone(), error);
            let verifier = WebPkiClientVerifier::builder_with_provider(authorities(path)?, provider);
            let verifier = match files.clients {
                ClientAuth::Optional(_) => verifier.allow_unauthenticated(),
                _ => verifier,
            };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| unusable(error.to_string()))?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(BySni(certificates)));
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()];
    if let Ok(ticketer) = aws_lc_rs::Ticketer::new() {
        config.ticketer = ticketer; // sessions are resumed whichever core the next connection comes to
    }
    Ok(config)
}

fn certified(
    files: &CertificateFiles,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsFilesError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|_| TlsFilesError::Empty(files.key.clone(), "private key"))?;
    let certified = CertifiedKey::from_der(chain, key, provider)
        .map_err(|error| TlsFilesError::Unusable(files.key.clone(), error.to_string()))?;
    Ok(Arc::new(certified))
}

fn authorities(path: &PathBuf) -> Result<Arc<RootCertStore>, TlsFilesError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store
            .add(certificate)
            .map_err(|error| TlsFilesError::Unusable(path.clone(), error.to_string()))?;
    }
    Ok(Arc::new(store))
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsFilesError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsFilesError::Empty(path.clone(), "certificate")),
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, TlsFilesError> {
    fs::read(path).map_err(|error| TlsFilesError::Unreadable(path.clone(), error))
}

/// Chooses by the name that a client asks for.
#[derive(Debug)]
struct BySni(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello
            .server_name()
            .and_then(|name| ServerName::try_from(name).ok());
        let is_for = |certified: &&Arc<CertifiedKey>| {
            let (Some(name), Ok(certificate)) = (&name, certified.end_entity_cert()) else {
                return false;
            };
            ParsedCertificate::try_from(certificate)
                .is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
        };
        self.0.iter().find(is_for).or_else(|| self.0.first()).cloned()
    }
}

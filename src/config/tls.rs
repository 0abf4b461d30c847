//! TLS with clients: where this node speaks it, and with which certificates.

use std::{net::SocketAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{addresses, reader::Reader};
use crate::gateway::{CertificateFiles, ClientAuth, TlsFiles, TlsVersion};

/// Where TLS is spoken, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Where.
    pub addr: SocketAddr,
    /// With what.
    pub files: TlsFiles,
}

/// `proxy.tls` of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsSection {
    /// The port where TLS is spoken.
    #[schemars(extend("default" = 8443, "minimum" = 0))]
    pub port: Option<u16>,
    /// Certificates with their keys, each for the names that are in it.
    pub certificates: Vec<CertificateSection>,
    /// The lowest version of TLS.
    #[schemars(extend("enum" = ["1.2", "1.3"], "default" = "1.2"))]
    pub min_version: Option<String>,
    /// Who may have signed the certificates of clients, in PEM.
    pub client_ca: Option<PathBuf>,
    /// `none`, `optional` or `required`; `required` where there is a `clientCa`.
    pub client_auth: Option<ClientAuthMode>,
}

/// One of `proxy.tls.certificates`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateSection {
    /// A file with the certificate and its chain, in PEM.
    pub certificate: PathBuf,
    /// A file with its private key, in PEM.
    pub key: PathBuf,
}

/// Whether clients show certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase")]
pub enum ClientAuthMode {
    /// They are not asked.
    None,
    /// They may.
    Optional,
    /// They must.
    Required,
}

/// What other gateways listen on for TLS, beside the port that clients without it use.
const PORT: u16 = 8443;

/// Reads what the environment and the file say. Without a certificate there is no TLS.
pub(super) fn read(reader: &mut Reader<'_>, proxy: SocketAddr, file: Option<&TlsSection>) -> Option<Tls> {
    let file = file.cloned().unwrap_or_default();
    let certificates = certificates(reader).unwrap_or_else(|| {
        let pairs = file.certificates.into_iter();
        let pair = |pair: CertificateSection| CertificateFiles {
            certificate: pair.certificate,
            key: pair.key,
        };
        pairs.map(pair).collect()
    });
    let default = SocketAddr::new(proxy.ip(), file.port.unwrap_or(PORT));
    let addr = addresses::parsed(reader, "FLEXGATE_PROXY_TLS_ADDR").unwrap_or(default);
    let version = reader.parsed("FLEXGATE_TLS_MIN_VERSION").or(file.min_version);
    let version_min = version.map_or(Some(TlsVersion::default()), |text| version_of(reader, &text));
    let clients = clients(reader, file.client_ca, file.client_auth);
    if certificates.is_empty() {
        return None;
    }
    if addresses::collide(proxy, addr) {
        reader.mistake(format!(
            "FLEXGATE_PROXY_TLS_ADDR: {addr} is where the proxy listens without TLS; give one of them another port"
        ));
    }
    Some(Tls {
        addr,
        files: TlsFiles {
            certificates,
            version_min: version_min?,
            clients: clients?,
        },
    })
}

/// As many certificates as keys, in two lists separated by commas.
fn certificates(reader: &mut Reader<'_>) -> Option<Vec<CertificateFiles>> {
    let list = |name| {
        let found = reader.find(&[name])?;
        let paths = found.value.split(',').map(|path| PathBuf::from(path.trim()));
        Some(paths.collect::<Vec<_>>())
    };
    let certificates = list("FLEXGATE_TLS_CERTIFICATE");
    let keys = list("FLEXGATE_TLS_KEY");
    match (certificates, keys) {
        (None, None) => None,
        (Some(certificates), Some(keys)) if certificates.len() == keys.len() => {
            let pairs = certificates.into_iter().zip(keys);
            let pair = |(certificate, key)| CertificateFiles { certificate, key };
            Some(pairs.map(pair).collect())
        }
        _ => {
            reader.mistake(
                "FLEXGATE_TLS_CERTIFICATE and FLEXGATE_TLS_KEY name as many files each: a key for every certificate",
            );
            None
        }
    }
}

fn version_of(reader: &mut Reader<'_>, text: &str) -> Option<TlsVersion> {
    match text {
        "1.2" => Some(TlsVersion::Tls12),
        "1.3" => Some(TlsVersion::Tls13),
        other => {
            reader.mistake(format!(
                "the lowest version of TLS is `1.2` or `1.3`, not {other:?} (FLEXGATE_TLS_MIN_VERSION, or `proxy.tls.minVersion`)"
            ));
            None
        }
    }
}

fn clients(reader: &mut Reader<'_>, ca: Option<PathBuf>, mode: Option<ClientAuthMode>) -> Option<ClientAuth> {
    let ca = reader.path("FLEXGATE_TLS_CLIENT_CA").or(ca);
    let found = reader.find(&["FLEXGATE_TLS_CLIENT_AUTH"]);
    let given = found.and_then(|found| {
        reader.parse(found, |text| match text {
            "none" => Ok(ClientAuthMode::None),
            "optional" => Ok(ClientAuthMode::Optional),
            "required" => Ok(ClientAuthMode::Required),
            other => Err(format!("{other:?} is none of `none`, `optional` and `required`")),
        })
    });
    let mode = given.or(mode);
    match (mode, ca) {
        (None | Some(ClientAuthMode::None), None) | (Some(ClientAuthMode::None), Some(_)) => {
            Some(ClientAuth::None)
        }
        (Some(ClientAuthMode::Optional), Some(ca)) => Some(ClientAuth::Optional(ca)),
        (None | Some(ClientAuthMode::Required), Some(ca)) => Some(ClientAuth::Required(ca)),
        (Some(_), None) => {
            reader.mistake(
                "clients are asked for certificates, but nobody may have signed them: name the authorities in FLEXGATE_TLS_CLIENT_CA, or `proxy.tls.clientCa`",
            );
            None
        }
    }
}

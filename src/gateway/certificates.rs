//! Certificates of clients as credentials: what they are known by, worked out once per connection, and whose that is.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use flexgate_schemas::{ApiKey, KeyId, key::CertificateName};
use rustls::pki_types::CertificateDer;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

/// The most names of a certificate that are looked at: each may have to be looked up for every request.
const NAMES_MAX: usize = 32;

/// What stands for which keys, as far as any have certificates.
#[derive(Debug, Clone, Default)]
pub(super) struct Certificates(im::HashMap<CertificateName, BTreeSet<KeyId>>);

/// Whose a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Nobody's that is known here.
    Nobodys,
    /// This key's.
    Of(KeyId),
    /// It stands for several keys: it is not clear which of them is meant.
    Several,
}

impl Certificates {
    /// Takes note of what stands for a key, in the place of what did before.
    pub(super) fn set(&mut self, before: Option<&ApiKey>, now: Option<&ApiKey>) {
        for (key, name) in before.into_iter().flat_map(names) {
            if let Some(keys) = self.0.get_mut(name) {
                keys.remove(&key);
                if keys.is_empty() {
                    self.0.remove(name);
                }
            }
        }
        for (key, name) in now.into_iter().flat_map(names) {
            self.0.entry(name.clone()).or_default().insert(key);
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose certificate is known by these.
    pub(super) fn whose(&self, names: &[CertificateName]) -> Whose {
        let mut keys = names.iter().filter_map(|name| self.0.get(name)).flatten();
        match keys.next() {
            None => Whose::Nobodys,
            Some(first) if keys.all(|other| other == first) => Whose::Of(*first),
            Some(_) => Whose::Several,
        }
    }
}

fn names(key: &ApiKey) -> impl Iterator<Item = (KeyId, &CertificateName)> {
    let names = &key.particulars().certificates;
    names.iter().map(|name| (key.id, name))
}

/// What a certificate is known by, after it was verified: its fingerprint, and the names that its authority vouches for.
pub(super) fn known_by(certificate: &CertificateDer<'_>) -> Box<[CertificateName]> {
    let hash = digest(&SHA256, certificate);
    let fingerprint = hash.as_ref().try_into().map(CertificateName::Fingerprint);
    let parsed = X509Certificate::from_der(certificate);
    let alternative = parsed.ok().and_then(|(_, certificate)| {
        let extension = certificate.subject_alternative_name().ok()??;
        let name = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) => format!("dns:{name}").parse().ok(),
            GeneralName::URI(name) => format!("uri:{name}").parse().ok(),
            GeneralName::RFC822Name(name) => format!("email:{name}").parse().ok(),
            _ => None,
        };
        Some(
            extension
                .value
                .general_names
                .iter()
                .filter_map(name)
                .take(NAMES_MAX)
                .collect::<Vec<_>>(),
        )
    });
    fingerprint
        .into_iter()
        .chain(alternative.into_iter().flatten())
        .collect()
}

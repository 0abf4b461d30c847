//! Certificates that stand for a key.

use std::{fmt, str::FromStr};

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 512;

/// By what a client's certificate is known: itself, or a name that its authority vouches for (RFC 5280 4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CertificateName {
    /// `sha256:<64 hexadecimal digits>`: the SHA-256 of the certificate in DER, its fingerprint.
    Fingerprint([u8; 32]),
    /// `dns:<name>`, in lower case.
    Dns(Box<str>),
    /// `uri:<URI>`, to the letter: `uri:spiffe://example.com/orders`.
    Uri(Box<str>),
    /// `email:<address>`, to the letter.
    Email(Box<str>),
}

/// Why a text names no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a certificate is named by `sha256:` and its fingerprint, or by a name in it: `dns:orders.internal`, `uri:spiffe://...` or `email:...`"
)]
pub struct CertificateNameError;

impl FromStr for CertificateName {
    type Err = CertificateNameError;
    fn from_str(text: &str) -> Result<Self, CertificateNameError> {
        let (kind, name) = text.split_once(':').ok_or(CertificateNameError)?;
        let fits =
            (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
        match kind {
            _ if !fits => Err(CertificateNameError),
            "sha256" => fingerprint(name)
                .map(Self::Fingerprint)
                .ok_or(CertificateNameError),
            "dns" => Ok(Self::Dns(name.to_ascii_lowercase().into())),
            "uri" => Ok(Self::Uri(name.into())),
            "email" => Ok(Self::Email(name.into())),
            _ => Err(CertificateNameError),
        }
    }
}

/// As OpenSSL prints it, with colons, or without.
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |pair: &[u8; 2]| {
        let value = |digit: u8| {
            char::from(digit)
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
        };
        Some(16 * value(pair[0])? + value(pair[1])?)
    };
    let bytes: Vec<u8> = pairs.iter().map(byte).collect::<Option<_>>()?;
    bytes.try_into().ok().filter(|_| rest.is_empty())
}

impl fmt::Display for CertificateName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fingerprint(bytes) => {
                out.write_str("sha256:")?;
                bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
            }
            Self::Dns(name) => write!(out, "dns:{name}"),
            Self::Uri(name) => write!(out, "uri:{name}"),
            Self::Email(name) => write!(out, "email:{name}"),
        }
    }
}

text_value!(
    CertificateName,
    "a certificate: `sha256:` and its fingerprint, or `dns:`, `uri:` or `email:` and a name in it",
    r"^(sha256:[0-9A-Fa-f:]{64,95}|(dns|uri|email):[\x21-\x7e]{1,512})$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_has_one_spelling_for_each_of_its_names() {
        let check = |text: &str, expected: Option<&str>| {
            let read = text.parse::<CertificateName>().ok().map(|name| name.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        };
        let plain = format!("sha256:{}", "ab".repeat(32));
        check(&plain, Some(&plain));
        check(&format!("sha256:{}", ["AB"; 32].join(":")), Some(&plain));
        check("dns:Orders.Internal", Some("dns:orders.internal"));
        check("uri:spiffe://Example/a:b", Some("uri:spiffe://Example/a:b"));
        check("email:a@b", Some("email:a@b"));
        for wrong in [
            "orders.internal",
            "dns:",
            "dns:a b",
            "cn:orders",
            "sha256:abcd",
            "uri:\u{e9}",
        ] {
            check(wrong, None);
        }
    }
}

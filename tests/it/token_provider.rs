//! A provider of tokens: signs them, and publishes its keys as long as a test lets it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// A key that signs, and what is published of it.
pub(crate) struct Signer {
    pub(crate) algorithm: Algorithm,
    kid: String,
    key: EncodingKey,
    pub(crate) jwk: Value,
}

impl Signer {
    pub(crate) fn es256(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": part(&point[1..33]), "y": part(&point[33..])});
        let key = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        Self::new(Algorithm::ES256, kid, key, jwk)
    }

    pub(crate) fn eddsa(kid: &str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": part(pair.public_key().as_ref())});
        let key = EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref());
        Self::new(Algorithm::EdDSA, kid, key, jwk)
    }

    /// Of RSA, with one of its algorithms.
    pub(crate) fn rsa(kid: &str, algorithm: Algorithm) -> Self {
        let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
        let parts = rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let jwk = json!({"kty": "RSA", "use": "sig", "n": part(&parts.n), "e": part(&parts.e)});
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let key = EncodingKey::from_rsa_der(&der.as_ref()[26..]); // PKCS #8 is PKCS #1 with these bytes in front
        Self::new(algorithm, kid, key, jwk)
    }

    fn new(algorithm: Algorithm, kid: &str, key: EncodingKey, mut jwk: Value) -> Self {
        jwk["kid"] = kid.into();
        Self {
            algorithm,
            kid: kid.to_owned(),
            key,
            jwk,
        }
    }

    /// A token with these claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

fn part(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Where a provider publishes its keys. Ends with the runtime of its test.
pub(crate) struct KeyServer {
    addr: SocketAddr,
    answer: Arc<Mutex<String>>,
    fetches: Arc<AtomicUsize>,
}

impl KeyServer {
    /// Publishes the keys of these signers.
    pub(crate) async fn with(signers: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            addr: listener.local_addr().unwrap(),
            answer: Arc::default(),
            fetches: Arc::default(),
        };
        server.publish(signers);
        let (answer, fetches) = (Arc::clone(&server.answer), Arc::clone(&server.fetches));
        #[expect(clippy::disallowed_methods, reason = "ends with the runtime of its test")]
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { break };
                    head.push(byte);
                }
                let answer = answer.lock().unwrap().clone();
                fetches.fetch_add(1, Ordering::SeqCst);
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/keys", self.addr)
    }

    /// From now on these.
    pub(crate) fn publish(&self, signers: &[&Signer]) {
        let keys: Vec<_> = signers.iter().map(|signer| &signer.jwk).collect();
        self.answer_with("200 OK", &json!({ "keys": keys }).to_string());
    }

    /// From now on this.
    pub(crate) fn answer_with(&self, status: &str, body: &str) {
        *self.answer.lock().unwrap() = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nlocation: /elsewhere\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
    }

    pub(crate) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

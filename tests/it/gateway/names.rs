//! Upstreams by name, and over TLS.

use std::{net::SocketAddr, sync::Arc};

use flexgate::gateway::Roots;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

use super::{Node, assert_refused, options, route};
use crate::upstream::{Behaviour, Upstream};

/// Good for `localhost` and 127.0.0.1 for a hundred years, and trusted by nobody but these tests.
const CERTIFICATE: &[u8] = include_bytes!("../../fixtures/tls/server.pem");
const KEY: &[u8] = include_bytes!("../../fixtures/tls/server.key");
const AUTHORITY: &[u8] = include_bytes!("../../fixtures/tls/ca.pem");

fn over_tls(behaviour: Behaviour) -> Behaviour {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    behaviour.over_tls(TlsAcceptor::from(Arc::new(config)))
}

/// A gateway that trusts the test's authority, or nobody.
fn node(trusting: bool, url: &str) -> Node {
    let mut options = options();
    let authority = CertificateDer::from_pem_slice(AUTHORITY).unwrap();
    options.roots = Roots::Only(if trusting { vec![authority] } else { Vec::new() });
    Node::start_with(options, &[route("all", "/*", url)])
}

fn by_name(addr: SocketAddr) -> String {
    format!("localhost:{}", addr.port())
}

#[tokio::test]
async fn a_name_is_resolved() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::forwarding_to(&format!("http://{}", by_name(backend.addr())));
    for _ in 0..2 {
        assert_eq!(node.get("/").await.status(), 200);
    }
    assert_eq!(backend.last().header("host"), Some(&*by_name(backend.addr())));
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_bad_gateway() {
    let node = Node::forwarding_to("http://nobody.invalid"); // RFC 6761 6.4: never resolved, never asked for
    assert_refused(&node.get("/").await, 502, "upstream_dns_error", "dns_error");
}

#[tokio::test]
async fn an_upstream_is_reached_over_tls_by_name_and_by_address() {
    let backend = over_tls(Upstream::echoing()).start().await;
    for host in [by_name(backend.addr()), backend.addr().to_string()] {
        let node = node(true, &format!("https://{host}"));
        let body = "x".repeat(300_000);
        let request = format!(
            "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        for _ in 0..2 {
            assert_eq!(node.ask(&request).await.text(), body);
        }
        assert_eq!(
            backend.last().header("x-forwarded-proto"),
            Some("http"),
            "how the client came"
        );
    }
    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_not_accepted() {
    let backend = over_tls(Upstream::replying(200)).start().await;
    let node = node(false, &format!("https://{}", by_name(backend.addr())));
    assert_refused(
        &node.get("/").await,
        502,
        "upstream_certificate_error",
        "tls_certificate_error",
    );
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_accepted() {
    let backend = over_tls(Upstream::replying(200)).start().await;
    let elsewhere = backend.addr().to_string().replace("127.0.0.1", "127.0.0.2");
    let listener = tokio::net::TcpListener::bind(&elsewhere).await.unwrap();
    let node = node(true, &format!("https://{elsewhere}"));
    let relay = async {
        let (mut from, _) = listener.accept().await.unwrap();
        let mut to = tokio::net::TcpStream::connect(backend.addr()).await.unwrap();
        drop(tokio::io::copy_bidirectional(&mut from, &mut to).await);
    };
    let (response, ()) = tokio::join!(node.get("/"), relay);
    assert_refused(
        &response,
        502,
        "upstream_certificate_error",
        "tls_certificate_error",
    );
}

#[tokio::test]
async fn an_upstream_that_does_not_speak_tls_is_a_bad_gateway() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = node(true, &format!("https://{}", listener.local_addr().unwrap()));
    let speak_plainly = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        stream
    };
    let (response, _stream) = tokio::join!(node.get("/"), speak_plainly);
    assert_refused(&response, 502, "upstream_tls_error", "tls_protocol_error");
}

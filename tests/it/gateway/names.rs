//! Upstreams by name, and over TLS.

use std::{net::SocketAddr, sync::Arc};

use flexgate::gateway::Roots;
use tokio_rustls::TlsAcceptor;

use super::{Node, assert_refused, options, route};
use crate::{
    certificates::Authority,
    upstream::{Behaviour, Upstream},
};

/// A backend that speaks TLS as `localhost` and 127.0.0.1, and who signed its certificate.
async fn over_tls(behaviour: Behaviour) -> (Upstream, Authority) {
    let authority = Authority::new();
    let config = authority.issue(&["localhost", "127.0.0.1"]).server(&[], None);
    let backend = behaviour.over_tls(TlsAcceptor::from(Arc::new(config)));
    (backend.start().await, authority)
}

/// A gateway that trusts this authority.
fn node(trusting: &Authority, url: &str) -> Node {
    let mut options = options();
    options.roots = Roots::Only(vec![trusting.der()]);
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
    let (backend, authority) = over_tls(Upstream::echoing()).await;
    for host in [by_name(backend.addr()), backend.addr().to_string()] {
        let node = node(&authority, &format!("https://{host}"));
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
    let (backend, _authority) = over_tls(Upstream::replying(200)).await;
    let node = node(&Authority::new(), &format!("https://{}", by_name(backend.addr())));
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
    let (backend, authority) = over_tls(Upstream::replying(200)).await;
    let elsewhere = backend.addr().to_string().replace("127.0.0.1", "127.0.0.2");
    let listener = tokio::net::TcpListener::bind(&elsewhere).await.unwrap();
    let node = node(&authority, &format!("https://{elsewhere}"));
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
    let node = node(
        &Authority::new(),
        &format!("https://{}", listener.local_addr().unwrap()),
    );
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

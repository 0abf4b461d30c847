//! TLS with clients, and TLS of their own with upstreams.

use std::{net::SocketAddr, path::Path, sync::Arc};

use aws_lc_rs::digest;
use bytes::Bytes;
use flexgate::gateway::{CertificateFiles, ClientAuth, InboundTls, TlsFiles, TlsListen, TlsVersion};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, pki_types::ServerName, version::TLS12};
use serde_json::json;
use tokio::{io::AsyncReadExt as _, net::TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

use super::{Node, assert_refused, keys::Key, options, route, route_with, settings, upstream};
use crate::{
    certificates::{Authority, Issued},
    http2::Answer,
    upstream::Upstream,
};

/// Certificates in a folder, and a gateway that shows them.
struct Shown {
    folder: tempfile::TempDir,
    authority: Authority,
    tls: InboundTls,
    node: Node,
    backend: Upstream,
}

fn files(folder: &Path, names: &[&str], clients: ClientAuth) -> TlsFiles {
    let files = |name: &&str| CertificateFiles {
        certificate: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key")),
    };
    TlsFiles {
        certificates: names.iter().map(files).collect(),
        version_min: TlsVersion::Tls12,
        clients,
    }
}

impl Shown {
    /// A certificate for each of these names; what else there is to say of the files is said with the folder.
    async fn start(names: &[&str], change: impl Fn(&Path, &Authority, &mut TlsFiles)) -> Self {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        for name in names {
            authority.issue(&[name]).write(folder.path(), name);
        }
        let mut files = files(folder.path(), names, ClientAuth::None);
        change(folder.path(), &authority, &mut files);
        let tls = InboundTls::load(files).unwrap();
        let backend = Upstream::echoing().start().await;
        let mut options = options();
        options.tls = Some(TlsListen {
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: tls.clone(),
        });
        let node = Node::start_with(options, &[route("all", "/*", &backend.url())]);
        Self {
            folder,
            authority,
            tls,
            node,
            backend,
        }
    }

    async fn connect(&self, config: ClientConfig, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.node.gateway.local_tls_addr().unwrap()).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// What a client that asks for a name is shown.
    async fn shown_for(&self, name: &str) -> Vec<u8> {
        let mut config = self.authority.client(&[], None);
        config.resumption = rustls::client::Resumption::disabled();
        let stream = self.connect(config, name).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    /// A GET over a connection of its own, in the version that both sides agree on.
    async fn get(&self, config: ClientConfig, name: &str) -> std::io::Result<Answer> {
        get(self.connect(config, name).await?).await
    }
}

async fn get(stream: TlsStream<TcpStream>) -> std::io::Result<Answer> {
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(stream);
    let request = Request::get("https://shop.test/a")
        .header("host", "shop.test")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = if is_http2 {
        let (mut send, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
            .await
            .map_err(std::io::Error::other)?;
        #[expect(clippy::disallowed_methods, reason = "ends with its connection")]
        tokio::spawn(connection);
        send.send_request(request).await
    } else {
        let (mut send, connection) = hyper::client::conn::http1::handshake(io)
            .await
            .map_err(std::io::Error::other)?;
        #[expect(clippy::disallowed_methods, reason = "ends with its connection")]
        tokio::spawn(connection);
        send.send_request(request).await
    };
    let answer = Answer::read(response.map_err(std::io::Error::other)?).await;
    answer.map_err(std::io::Error::other)
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_over_tls_as_the_client_chooses() {
    let shown = Shown::start(&["shop.test"], |_, _, _| {}).await;
    for alpn in [&["h2", "http/1.1"][..], &["http/1.1"], &[]] {
        let config = shown.authority.client(alpn, None);
        let answer = shown.get(config, "shop.test").await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{alpn:?}");
    }
    let seen = shown.backend.seen();
    let via: Vec<_> = seen.iter().map(|seen| seen.header("via").unwrap()).collect();
    assert_eq!(via, ["2 flexgate-test", "1.1 flexgate-test", "1.1 flexgate-test"]);
    let port = shown.node.gateway.local_tls_addr().unwrap().port().to_string();
    for seen in seen {
        assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
        assert_eq!(seen.header("x-forwarded-port"), Some(&*port));
        assert_eq!(seen.header("x-forwarded-host"), Some("shop.test"));
    }
    assert_eq!(shown.node.get("/").await.status(), 200, "without TLS beside it");
}

#[tokio::test]
async fn a_client_is_shown_the_certificate_of_the_name_that_it_asks_for() {
    let shown = Shown::start(&["one.test", "two.test"], |_, _, _| {}).await;
    let der = |name: &str| {
        let pem = std::fs::read_to_string(shown.folder.path().join(format!("{name}.pem"))).unwrap();
        Issued {
            certificate: pem,
            key: String::new(),
        }
        .chain()[0]
            .to_vec()
    };
    for name in ["two.test", "one.test"] {
        assert_eq!(shown.shown_for(name).await, der(name), "{name}");
    }
    let config = shown.authority.client(&[], None);
    let refused = shown.connect(config, "three.test").await.unwrap_err();
    assert!(
        refused.to_string().contains("not valid for name"),
        "it was shown the first: {refused}"
    );
}

#[tokio::test]
async fn certificates_are_read_again_and_open_connections_go_on() {
    let shown = Shown::start(&["shop.test"], |_, _, _| {}).await;
    let before = shown.shown_for("shop.test").await;
    let open = shown
        .connect(shown.authority.client(&[], None), "shop.test")
        .await
        .unwrap();
    let renewed = shown.authority.issue(&["shop.test"]);
    renewed.write(shown.folder.path(), "shop.test");
    shown.tls.reload().unwrap();
    assert_eq!(shown.shown_for("shop.test").await, renewed.chain()[0].to_vec());
    assert_ne!(before, renewed.chain()[0].to_vec());
    assert_eq!(get(open).await.unwrap().status, StatusCode::OK);

    let stranger = shown.authority.issue(&["shop.test"]);
    std::fs::write(shown.folder.path().join("shop.test.key"), &stranger.key).unwrap();
    let error = shown.tls.reload().unwrap_err().to_string();
    assert!(
        error.contains("shop.test.key") && !error.contains("BEGIN"),
        "{error}"
    );
    assert_eq!(
        shown.shown_for("shop.test").await,
        renewed.chain()[0].to_vec(),
        "the last good one stays"
    );
}

#[tokio::test]
async fn clients_show_certificates_where_they_must() {
    let demand = |folder: &Path, authority: &Authority, files: &mut TlsFiles| {
        std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
        files.clients = ClientAuth::Required(folder.join("ca.pem"));
    };
    let shown = Shown::start(&["shop.test"], demand).await;
    let known = shown.authority.issue(&["client-a"]);
    let stranger = Authority::new().issue(&["client-a"]);
    let get = async |shows: Option<&Issued>| {
        let config = shown.authority.client(&["http/1.1"], shows);
        shown.get(config, "shop.test").await
    };
    assert_eq!(get(Some(&known)).await.unwrap().status, StatusCode::OK);
    assert!(get(None).await.is_err());
    assert!(get(Some(&stranger)).await.is_err());
}

#[tokio::test]
async fn clients_may_show_certificates_where_they_may() {
    let demand = |folder: &Path, authority: &Authority, files: &mut TlsFiles| {
        std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
        files.clients = ClientAuth::Optional(folder.join("ca.pem"));
    };
    let shown = Shown::start(&["shop.test"], demand).await;
    let config = shown.authority.client(&[], None);
    assert_eq!(
        shown.get(config, "shop.test").await.unwrap().status,
        StatusCode::OK
    );
    let stranger = Authority::new().issue(&["client-a"]);
    let config = shown.authority.client(&[], Some(&stranger));
    assert!(shown.get(config, "shop.test").await.is_err(), "but no bad ones");
}

/// Over both versions of HTTP, and over a connection that is resumed, in which no certificate is sent.
#[tokio::test]
async fn a_certificate_stands_for_a_key_by_its_fingerprint_or_by_a_name_in_it() {
    let demand = |folder: &Path, authority: &Authority, files: &mut TlsFiles| {
        std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
        files.clients = ClientAuth::Optional(folder.join("ca.pem"));
    };
    let mut shown = Shown::start(&["shop.test"], demand).await;
    let by_name = shown.authority.issue(&["orders.internal"]);
    let by_print = shown.authority.issue(&["other.internal"]);
    let nobodys = shown.authority.issue(&["stranger.internal"]);
    let both = shown.authority.issue(&["orders.internal", "billing.internal"]);
    let hash = digest::digest(&digest::SHA256, &by_print.chain()[0]);
    let hex: Vec<_> = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    let fingerprint = format!("sha256:{}", hex.join(":"));
    let keys = [
        Key::new(1).with(json!({"certificates": ["dns:Orders.internal"]})),
        Key::new(2).with(json!({"certificates": [fingerprint], "scopes": {"methods": ["POST"]}})),
        Key::new(3).with(json!({"certificates": ["dns:billing.internal"]})),
    ];
    let backend = shown.backend.url();
    let private = route_with("all", "/*", &backend, r#""auth":"required""#);
    shown
        .node
        .change(&[private, keys[0].created(), keys[1].created(), keys[2].created()]);

    let get = async |shows: Option<&Issued>, config: Option<&ClientConfig>| {
        let new = || shown.authority.client(&["http/1.1"], shows);
        let answer = shown
            .get(config.cloned().unwrap_or_else(new), "shop.test")
            .await
            .unwrap();
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        (answer.status.as_u16(), text)
    };
    for alpn in [&["h2"], &["http/1.1"]] {
        let config = shown.authority.client(alpn, Some(&by_name));
        for _ in 0..2 {
            assert_eq!(get(None, Some(&config)).await.0, 200, "the second is resumed");
            let told = shown.backend.last().header("x-flexgate-key").map(str::to_owned);
            assert_eq!(told.as_deref(), Some(keys[0].id.as_str()));
        }
    }
    let (status, said) = get(Some(&by_print), None).await;
    assert!(status == 403 && said.contains("scope_denied"), "{status} {said}");
    let (status, said) = get(Some(&nobodys), None).await;
    assert!(
        status == 401 && said.contains("\"unauthorized\""),
        "{status} {said}"
    );
    assert_eq!(get(None, None).await.0, 401);
    let (status, said) = get(Some(&both), None).await;
    assert!(
        status == 401 && said.contains("invalid_credential"),
        "it stands for two: {status} {said}"
    );

    for (accept, expected) in [("apiKey", 401), ("certificate", 200)] {
        let auth = format!(r#""auth":{{"mode":"required","accept":["{accept}"]}}"#);
        shown.node.change(&[route_with("all", "/*", &backend, &auth)]);
        let config = shown.authority.client(&["http/1.1"], Some(&by_name));
        let answer = shown.get(config, "shop.test").await.unwrap();
        assert_eq!(answer.status.as_u16(), expected, "{accept}");
    }

    let config = shown.authority.client(&["http/1.1"], Some(&by_name));
    shown.node.change(&[Key::new(1).updated()]);
    let gone = shown.get(config, "shop.test").await.unwrap();
    assert_eq!(gone.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_old_version_of_tls_is_refused_where_it_is_said() {
    let demand = |_: &Path, _: &Authority, files: &mut TlsFiles| files.version_min = TlsVersion::Tls13;
    for (shown, accepted) in [
        (Shown::start(&["shop.test"], |_, _, _| {}).await, true),
        (Shown::start(&["shop.test"], demand).await, false),
    ] {
        let config = shown.authority.client_of_versions(&[&TLS12], &[], None);
        assert_eq!(shown.connect(config, "shop.test").await.is_ok(), accepted);
    }
}

/// A gateway whose upstream `api` has settings of its own for TLS. Secrets that begin with `file:` are read.
fn in_front_of(url: &str, more: &str) -> Node {
    Node::start(&[upstream("api", url, more), route("all", "/*", "api")])
}

#[tokio::test]
async fn an_upstream_is_held_against_its_own_authority_and_name_and_shown_a_certificate() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let path = folder.path().display();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    authority.issue(&["gateway"]).write(folder.path(), "gateway");
    let config = authority
        .issue(&["api.internal"])
        .server(&["http/1.1"], Some(&authority));
    let backend = Upstream::replying(200)
        .over_tls(TlsAcceptor::from(Arc::new(config)))
        .start()
        .await;
    let url = format!("https://{}", backend.addr());
    let shows = format!(
        r#""clientCertificate":{{"certificate":"file:{path}/gateway.pem","key":"file:{path}/gateway.key"}}"#
    );
    let ca = format!(r#""ca":"file:{path}/ca.pem""#);
    let name = r#""serverName":"api.internal""#;
    let check = async |tls: &str, status: u16| {
        let node = in_front_of(&url, &format!(r#""tls":{{{tls}}}"#));
        assert_eq!(node.get("/").await.status(), status, "{tls}");
    };
    check(&format!("{ca},{name},{shows}"), 200).await;
    check(&format!("{name},{shows}"), 502).await; // the system's authorities do not know it
    check(&format!("{ca},{shows}"), 502).await; // it is not for the address
    check(&format!("{ca},{name}"), 502).await; // it wants to know who asks
    check(&format!(r#""ca":"file:{path}/missing.pem",{name}"#), 503).await;
    check(&format!(r#""ca":"file:{path}/gateway.key",{name}"#), 503).await; // that is no certificate
}

#[tokio::test]
async fn the_upstream_chooses_http_2_over_tls_unless_the_request_is_to_switch() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let config = authority.issue(&["127.0.0.1"]).server(&["http/1.1"], None);
    let backend = Upstream::replying(200)
        .over_tls(TlsAcceptor::from(Arc::new(config)))
        .start()
        .await;
    let tls = format!(r#""tls":{{"ca":"file:{}/ca.pem"}}"#, folder.path().display());
    let url = format!("https://{}", backend.addr());
    assert_eq!(
        in_front_of(&url, &tls).get("/").await.status(),
        200,
        "it chose HTTP/1.1"
    );
    let node = in_front_of(&url, &format!(r#"{tls},"protocol":"http2""#));
    assert_refused(
        &node.get("/").await,
        502,
        "upstream_tls_error",
        "tls_protocol_error",
    );
}

#[tokio::test]
async fn a_handshake_has_no_more_time_than_a_head() {
    let mut shown = Shown::start(&["shop.test"], |_, _, _| {}).await;
    shown
        .node
        .change(&[settings(r#"{"limits":{"headTimeout":"1s"}}"#)]);
    let addr = shown.node.gateway.local_tls_addr().unwrap();
    let mut silent = TcpStream::connect(addr).await.unwrap();
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    assert!(
        shown
            .get(shown.authority.client(&["h2"], None), "shop.test")
            .await
            .is_ok()
    );
}

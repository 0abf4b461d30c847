//! Foreign clients and servers, each by people who never saw this gateway, with the gateway in between.

mod slowhttptest;
mod varnishtest;

use std::{net::SocketAddr, path::Path, process::Stdio};

use flexgate::gateway::{CertificateFiles, ClientAuth, InboundTls, TlsFiles, TlsListen, TlsVersion};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{
    certificates::Authority,
    fixtures::{PATIENCE, installed},
    gateway::{Node, options, route, route_with, upstream},
    http2::Backend,
    upstream::Upstream,
};

/// A script that is server and client at once.
struct Peers {
    python: Child,
    port: u16,
}

impl Peers {
    /// Starts it and waits for its server.
    async fn start(script: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut python = Command::new("python3")
            .arg(root.join("tests/it/peers").join(script))
            .env("PYTHONPATH", root.join(".flexgate/python"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("python3, which `make test` needs");
        let mut line = String::new();
        let mut said = BufReader::new(python.stdout.take().unwrap());
        timeout(PATIENCE, said.read_line(&mut line))
            .await
            .unwrap()
            .unwrap();
        let port = line.trim().parse();
        let port = port.expect("its port: what it needs is fetched by `make python`");
        Self { python, port }
    }

    /// Lets it go through the gateway, and waits until it is satisfied.
    async fn pass_through(mut self, node: &Node) {
        let mut stdin = self.python.stdin.take().unwrap();
        let gateway = format!("{}\n", node.addr().port());
        stdin.write_all(gateway.as_bytes()).await.unwrap();
        let output = timeout(4 * PATIENCE, self.python.wait_with_output()).await;
        let output = output.expect("its end").unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_of_python_pass_through() {
    let peers = Peers::start("websocket.py").await;
    let node = Node::forwarding_to(&format!("http://127.0.0.1:{}", peers.port));
    peers.pass_through(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_of_python_passes_through() {
    let peers = Peers::start("grpc_calls.py").await;
    let api = format!("http://127.0.0.1:{}", peers.port);
    let short = r#""timeout":200,"match":{"headers":[{"name":"short"}]}"#;
    let node = Node::start(&[
        upstream("api", &api, r#""protocol":"http2""#),
        upstream("away", "http://127.0.0.1:9", r#""protocol":"http2""#),
        route("calls", "/test.Orders/*", "api"),
        route("away", "/away.Orders/*", "away"),
        route_with("short", "/test.Orders/Hangs", "api", short),
    ]);
    peers.pass_through(&node).await;
}

/// Runs a program to its end and returns what it printed, on both of its outputs.
async fn run(program: &Path, arguments: &[&str], input: &str) -> String {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output())
        .await
        .expect("its end")
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&printed).into_owned()
}

/// A gateway with TLS, the folder of its certificates, and what it forwards to.
async fn with_tls() -> (Node, tempfile::TempDir, Upstream) {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    authority
        .issue(&["localhost", "127.0.0.1"])
        .write(folder.path(), "server");
    let files = TlsFiles {
        certificates: vec![CertificateFiles {
            certificate: folder.path().join("server.pem"),
            key: folder.path().join("server.key"),
        }],
        version_min: TlsVersion::Tls12,
        clients: ClientAuth::None,
    };
    let mut options = options();
    options.tls = Some(TlsListen {
        addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: InboundTls::load(files).unwrap(),
    });
    let upstream = Upstream::replying(200).start().await;
    let node = Node::start_with(options, &[route("all", "/*", &upstream.url())]);
    (node, folder, upstream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_gets_the_same_answer_in_every_version_of_http() {
    let Some(curl) = installed("curl") else {
        return;
    };
    let (node, folder, upstream) = with_tls().await;
    let plain = format!("http://{}/a?b=c", node.addr());
    let encrypted = format!("https://{}/a?b=c", node.gateway.local_tls_addr().unwrap());
    let ca = folder.path().join("ca.pem").display().to_string();
    for (version, url, spoken) in [
        ("--http1.0", &plain, "1"), // hyper answers an old client in its own version
        ("--http1.1", &plain, "1.1"),
        ("--http2-prior-knowledge", &plain, "2"),
        ("--http1.1", &encrypted, "1.1"),
        ("--http2", &encrypted, "2"),
        ("--tlsv1.3", &encrypted, "2"),
        ("--tls-max 1.2", &encrypted, "2"),
    ] {
        let mut arguments: Vec<_> = version.split(' ').collect();
        arguments.extend(["--silent", "--show-error", "--cacert", &ca]);
        arguments.extend(["--write-out", " %{http_code} %{http_version}", url]);
        let printed = run(&curl, &arguments, "").await;
        assert_eq!(printed, format!("hello 200 {spoken}"), "{version} {url}");
        assert_eq!(upstream.last().target(), "/a?b=c");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h2load_gets_every_answer() {
    let Some(h2load) = installed("h2load") else {
        return;
    };
    let backend = Backend::start(std::sync::Arc::default()).await;
    let events = [
        upstream("api", &backend.url(), r#""protocol":"http2""#),
        route("all", "/*", "api"),
    ];
    let node = Node::start(&events);
    let url = format!("http://{}/", node.addr());
    let printed = run(&h2load, &["-n5000", "-c10", "-m50", &url], "").await;
    assert!(
        printed.contains("5000 succeeded, 0 failed, 0 errored"),
        "{printed}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_agrees_on_a_protocol_and_a_certificate() {
    let Some(openssl) = installed("openssl") else {
        return;
    };
    let (node, folder, _upstream) = with_tls().await;
    let addr = node.gateway.local_tls_addr().unwrap().to_string();
    let ca = folder.path().join("ca.pem").display().to_string();
    let client = [
        "s_client",
        "-connect",
        &addr,
        "-CAfile",
        &ca,
        "-servername",
        "localhost",
        "-verify_return_error",
    ];
    let check = async |more: &[&str], said: &[&str]| {
        let printed = run(&openssl, &[&client, more].concat(), "Q\n").await;
        for said in said {
            assert!(printed.contains(said), "{more:?}: {said:?} is not in {printed}");
        }
    };
    check(
        &["-alpn", "h2,http/1.1"],
        &["ALPN protocol: h2", "Verify return code: 0 (ok)", "TLSv1.3"],
    )
    .await;
    check(
        &["-alpn", "http/1.1", "-tls1_2"],
        &["ALPN protocol: http/1.1", "TLSv1.2"],
    )
    .await;
    check(&["-tls1_1"], &["no peer certificate available"]).await;
}

/// What a client reads that speaks something else altogether.
#[tokio::test]
async fn a_client_that_speaks_plainly_to_the_port_of_tls_is_closed() {
    let (node, _folder, upstream) = with_tls().await;
    let addr = node.gateway.local_tls_addr().unwrap();
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut said = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut said))
        .await
        .expect("an end");
    assert!(read.is_err() || !said.starts_with(b"HTTP/"), "{said:?}");
    assert!(upstream.seen().is_empty());
}

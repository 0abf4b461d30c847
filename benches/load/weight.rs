//! What weighs on a gateway: 10,000 connections without a request, and a body of 100 MB.
//!
//! Clients are processes of their own, since each side of a connection takes a file descriptor.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    client::Connection,
    cluster::{FlexGate, Recording, Running},
};

const CONNECTIONS: u16 = 10_000;
/// The bar for all of them together.
const RESIDENT_MAX_MB: f64 = 300.0;
const BODY_PIECES: usize = 1600;
const PIECE_BYTES: usize = 64 * 1024;
/// What a process may grow by while a body passes.
const GROWTH_MAX_MB: f64 = 8.0;

/// Runs it and prints what it showed.
pub async fn run() {
    let folder = tempfile::tempdir().unwrap();
    let backend = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = backend.local_addr().unwrap().port();
    let mut serving = JoinSet::new();
    serving.spawn(serve(backend));
    let flexgate = FlexGate::start(folder.path(), 1, 2, port, Recording::On).await;
    let (gateway, pid) = (flexgate.ports()[0], flexgate.pids()[0]);
    served(gateway).await;
    println!("at rest: {:.1} MB", resident_mb(pid));
    for kind in ["silent", "served"] {
        connections(gateway, pid, kind).await;
    }
    body(gateway, pid).await;
}

/// Answers with the digest of the body.
async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(digest));
        connections.spawn(async move { drop(connection.await) });
    }
}

async fn digest(request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    let mut digest = Context::new(&SHA256);
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            digest.update(&data);
        }
    }
    let digest = Bytes::copy_from_slice(digest.finish().as_ref());
    Ok(Response::new(Full::new(digest)))
}

/// Waits until the route is there.
async fn served(port: u16) {
    while !ask(port).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn ask(port: u16) -> bool {
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    let answer = Connection::open(addr).await.unwrap().get("/").await;
    answer.is_ok_and(|answer| answer.status == 200)
}

/// What connections weigh while they rest, and whether others notice.
async fn connections(port: u16, pid: u32, kind: &str) {
    let before = resident_mb(pid);
    let mut holder = hold(port, kind);
    let mut line = String::new();
    let mut said = BufReader::new(holder.0.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    let (after, asked) = (resident_mb(pid), Instant::now());
    assert!(ask(port).await);
    println!(
        "{CONNECTIONS} connections, {kind}: {after:.1} MB resident, {:.2} KB each; somebody else is answered in {:.1} ms; \
         under {RESIDENT_MAX_MB} MB is asked: {}",
        (after - before) * 1000.0 / f64::from(CONNECTIONS),
        asked.elapsed().as_secs_f64() * 1000.0,
        if after < RESIDENT_MAX_MB {
            "held"
        } else {
            "NOT HELD"
        },
    );
}

fn hold(port: u16, kind: &str) -> Running {
    let holder: Child = Command::new(std::env::current_exe().unwrap())
        .args(["hold", &port.to_string(), kind])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    Running(holder)
}

/// The other process: holds connections until its input ends.
pub async fn hold_connections() {
    let arguments: Vec<String> = std::env::args().collect();
    let place = arguments.iter().position(|argument| argument == "hold").unwrap();
    let (port, kind): (u16, _) = (arguments[place + 1].parse().unwrap(), &*arguments[place + 2]);
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        if kind == "served" {
            stream
                .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                .await
                .unwrap();
            assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
        }
        held.push(stream);
    }
    println!("held");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Sends a body in chunks, and watches the gateway meanwhile.
async fn body(port: u16, pid: u32) {
    let before = resident_mb(pid);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let (mut digest, mut most, began) = (Context::new(&SHA256), before, Instant::now());
    for number in 0..BODY_PIECES {
        let piece: Vec<u8> = (0..PIECE_BYTES)
            .map(|place| (number.wrapping_mul(31) ^ place.wrapping_mul(7)).to_le_bytes()[0])
            .collect();
        digest.update(&piece);
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
        stream.write_all(&chunk).await.unwrap();
        most = most.max(resident_mb(pid));
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    println!(
        "a body of {} MB in chunks, {:.1} s: it arrives {}; the gateway grows by {:.1} MB; {GROWTH_MAX_MB} at most is asked: {}",
        BODY_PIECES * PIECE_BYTES / 1_000_000,
        began.elapsed().as_secs_f64(),
        if answer.ends_with(digest.finish().as_ref()) {
            "as it was sent"
        } else {
            "ALTERED"
        },
        most - before,
        if most - before <= GROWTH_MAX_MB {
            "held"
        } else {
            "NOT HELD"
        },
    );
}

/// What a process has in memory, from `/proc/<pid>/status`.
pub fn resident_mb(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes * 1.024 / 1000.0
}

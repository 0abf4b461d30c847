//! What an upstream sees when nginx is the proxy.

use std::{fmt::Write as _, fs, path::Path, process::Stdio};

use futures_util::{StreamExt as _, stream};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

use super::{
    ANSWER, AT_ONCE,
    corpus::Case,
    play::{Seen, seen_by},
};
use crate::{
    fixtures::{LOOK_AGAIN, PATIENCE, installed},
    upstream::Upstream,
};

/// As nginx is by default, but for what has nothing to do with framing: sizes like ours, and an end of the client's side
/// that ends no request.
const BEFORE: &str = "
    daemon off; master_process off; pid nginx.pid;
    events { worker_connections 4096; }
    http {
        access_log off;
        client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;
        client_max_body_size 0; large_client_header_buffers 4 64k; underscores_in_headers on;
        proxy_http_version 1.1; proxy_ignore_client_abort on; proxy_next_upstream off;
";

/// The requests that reach the upstream in each of the cases; none where there is no nginx.
pub(super) async fn forwards(cases: &[Case]) -> Option<Vec<Vec<Seen>>> {
    let binary = installed("nginx")?;
    let folder = tempfile::tempdir().unwrap();
    let upstreams: Vec<Upstream> = stream::iter(cases)
        .then(|_| Upstream::raw(ANSWER).start())
        .collect()
        .await;
    let _nginx = start(&binary, folder.path(), &upstreams).await;
    let played = cases.iter().zip(&upstreams).enumerate();
    let seen = stream::iter(played)
        .map(async |(number, (case, upstream))| {
            play(&folder.path().join(format!("{number}.sock")), case).await;
            seen_by(upstream).await
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    Some(seen)
}

/// One nginx for all, with a socket and an upstream for each case.
async fn start(binary: &Path, folder: &Path, upstreams: &[Upstream]) -> Child {
    let mut config = BEFORE.to_owned();
    for (number, upstream) in upstreams.iter().enumerate() {
        writeln!(
            config,
            "server {{ listen unix:{}/{number}.sock; location / {{ proxy_pass {}; }} }}",
            folder.display(),
            upstream.url()
        )
        .unwrap();
    }
    config.push('}');
    fs::write(folder.join("nginx.conf"), config).unwrap();
    let nginx = Command::new(binary)
        .arg("-p")
        .arg(folder)
        .args(["-c", "nginx.conf", "-e", "error.log"])
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // Sockets are made in the order of the file, and listened at when all are made.
    let last = folder.join(format!("{}.sock", upstreams.len() - 1));
    let listening = async {
        while UnixStream::connect(&last).await.is_err() {
            sleep(LOOK_AGAIN).await;
        }
    };
    timeout(PATIENCE, listening).await.expect("nginx to start");
    nginx
}

/// Sends everything and ends; nginx closes when it has done what there is to do.
async fn play(socket: &Path, case: &Case) {
    let (mut reader, mut writer) = UnixStream::connect(socket).await.unwrap().into_split();
    let send = async {
        let _refused_early = writer.write_all(&case.sent).await;
        let _closed_early = writer.shutdown().await;
    };
    let mut answers = Vec::new();
    let over = async { tokio::join!(send, reader.read_to_end(&mut answers)) };
    timeout(PATIENCE, over)
        .await
        .unwrap_or_else(|_| panic!("nginx to close: {}", case.title))
        .1
        .ok();
}

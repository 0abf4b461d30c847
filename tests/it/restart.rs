//! Going away, and coming back: the real program, its signals and its ports.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use flexgate::journal::jetstream::Names;
use http::StatusCode;
use rustix::process::Signal;

use crate::{
    client,
    fixtures::{self, Nats},
    program::{Settings, listens},
    upstream::Upstream,
};

#[tokio::test]
async fn a_restart_on_the_same_port_and_folder_loses_no_connection() {
    let nats = Nats::shared_url().await;
    let (prefix, folder) = (fixtures::prefix(), tempfile::tempdir().unwrap());
    fixtures::provisioned(nats, &Names::new(&prefix).unwrap()).await;
    let upstream = Upstream::replying(200).start().await;
    let settings = Settings::new("admin,gateway", folder.path(), (nats, &prefix));
    // Long enough for a successor to be there, also on a machine that has much else to do.
    let settings = settings.with("FLEXGATE_DRAIN_DELAY", "3s");
    let proxy = settings.proxy;

    let mut running = settings.start();
    settings.route_to(&upstream.url()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    #[expect(clippy::disallowed_methods, reason = "joined below")]
    let clients = tokio::spawn(async move {
        let mut answered = 0;
        while !stopped.load(Ordering::Relaxed) {
            // A connection of its own each: every one of them must find somebody who listens.
            assert_eq!(client::get(proxy, "/a").await.status, StatusCode::OK);
            answered += 1;
        }
        answered
    });
    for _ in 0..2 {
        running.signal(Signal::TERM);
        let successor = settings.start();
        assert!(running.ended().await.success(), "the old process ends well");
        running = successor;
    }
    listens(proxy).await;
    stop.store(true, Ordering::Relaxed);
    assert!(clients.await.unwrap() > 0);
    running.signal(Signal::TERM);
    assert!(running.ended().await.success());
}

#[tokio::test]
async fn a_port_that_another_flexgate_has_is_named() {
    let nats = Nats::shared_url().await;
    let prefix = fixtures::prefix();
    fixtures::provisioned(nats, &Names::new(&prefix).unwrap()).await;
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let settings = Settings::new("admin,gateway", folders[0].path(), (nats, &prefix));
    let (first, proxy) = (settings.start(), settings.proxy);
    listens(proxy).await;
    let second = Command::new(env!("CARGO_BIN_EXE_flexgate"))
        .args([
            "serve",
            "--role",
            "gateway",
            "--proxy-addr",
            &proxy.to_string(),
            "--ops-addr",
            "127.0.0.1:0",
        ])
        .env("FLEXGATE_DATA_DIR", folders[1].path())
        .env("NATS_URL", nats)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(5), "{said}");
    assert!(
        said.contains(&proxy.to_string()) && said.contains(&first.id().to_string()),
        "{said}"
    );
}

#[tokio::test]
async fn a_first_file_that_is_refused_ends_the_start_with_its_line() {
    let nats = Nats::shared_url().await;
    let (prefix, folder) = (fixtures::prefix(), tempfile::tempdir().unwrap());
    fixtures::provisioned(nats, &Names::new(&prefix).unwrap()).await;
    let file = folder.path().join("proxy.yml");
    std::fs::write(
        &file,
        "upstreams:\n- name: metadata\n  url: http://169.254.169.254\n",
    )
    .unwrap();
    let settings = Settings::new("admin", folder.path(), (nats, &prefix));
    let settings = settings.with("FLEXGATE_CONFIG", file.display().to_string());
    let done = settings.command().output().unwrap();
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(3), "{stderr}");
    for part in [
        "169.254.169.254 is a link-local address",
        "proxy.yml:3:8]",
        "^^^^",
    ] {
        assert!(stderr.contains(part), "{part}\n{stderr}");
    }
}

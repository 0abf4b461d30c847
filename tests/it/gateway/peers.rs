//! The gateway between the ends that others wrote: varnishtest's clients and servers, and slowhttptest's attackers.

mod protocols;

use std::{
    net::TcpListener,
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

use tokio::{process::Command, time::timeout};

use super::{Node, limits::refusals, route, settings};
use crate::{
    fixtures::{PATIENCE, debian},
    upstream::Upstream,
};

/// Plays one script. It names the gateway and where its own server has to listen.
async fn varnishtest(script: &str) {
    let Some(program) = debian("varnishtest", "varnish") else {
        return;
    };
    // Free until a moment ago, and with no reason to be taken before the script listens there.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = free.local_addr().unwrap();
    drop(free);
    let node = Node::forwarding_to(&format!("http://{upstream}"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/gateway/peers");
    let output = run(Command::new(program)
        .arg(format!("-Dgateway={}", node.addr()))
        .arg(format!("-Dupstream={upstream}"))
        .arg(folder.join(script)))
    .await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
}

async fn run(command: &mut Command) -> Output {
    let output = timeout(PATIENCE, command.kill_on_drop(true).output());
    output.await.expect("an end").unwrap()
}

#[tokio::test]
async fn each_hop_has_its_own_framing() {
    varnishtest("framing.vtc").await;
}

#[tokio::test]
async fn what_has_no_body_has_none() {
    varnishtest("bodiless.vtc").await;
}

#[tokio::test]
async fn fields_of_one_hop_stay_on_it() {
    varnishtest("hop_by_hop.vtc").await;
}

#[tokio::test]
async fn requests_that_come_together_are_told_apart() {
    varnishtest("pipelined.vtc").await;
}

/// How many connections an attack has.
const ATTACKERS: u64 = 200;

/// Lets slowhttptest attack a gateway in this mode, while somebody else is served there; what it says in the end, if it is
/// installed.
async fn attacked(mode: &[&str]) -> Option<String> {
    let program = debian("slowhttptest", "slowhttptest")?;
    // Far more than the kernel takes for a client that does not read.
    let mut long = b"HTTP/1.1 200 OK\r\ncontent-length: 20000000\r\n\r\n".to_vec();
    long.resize(long.len() + 20_000_000, b'x');
    let (long, quick) = (
        Upstream::raw(long).start().await,
        Upstream::replying(200).start().await,
    );
    let node = Node::start(&[
        settings(r#"{"limits":{"headTimeout":"1s","bodyTimeout":"1s"}}"#),
        route("long", "/long", &long.url()),
        route("quick", "/quick", &quick.url()),
    ]);
    let attackers = ATTACKERS.to_string();
    let mut attack = Command::new(program);
    attack
        .args(mode)
        .args(["-c", &attackers, "-r", &attackers, "-i", "3", "-l", "6"])
        .args(["-u", &format!("http://{}/long", node.addr())]);
    let (said, mut waits) = tokio::join!(run(&mut attack), served_for(&node, Duration::from_secs(4)));
    waits.sort_unstable();
    let usual = waits[waits.len() / 2];
    assert!(
        usual < Duration::from_millis(100),
        "every second waits {usual:?} or more"
    );
    Some(String::from_utf8_lossy(&said.stdout).into_owned())
}

/// Asks over and over, and is always answered: how long each answer took.
async fn served_for(node: &Node, time: Duration) -> Vec<Duration> {
    let mut client = node.client().await;
    let begin = Instant::now();
    let mut waits = Vec::new();
    while begin.elapsed() < time {
        let asked = Instant::now();
        assert_eq!(client.get("/quick", "").await.status(), 200);
        waits.push(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    waits
}

/// The attacker noticed that it was got rid of.
#[track_caller]
fn assert_over(said: Option<&str>) {
    let is_over = |said: &str| said.contains("No open connections left");
    assert!(said.is_none_or(is_over), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_end_their_heads_are_got_rid_of_and_nobody_else_notices() {
    assert_over(attacked(&["-H"]).await.as_deref());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hardly_send_their_bodies_are_got_rid_of_and_nobody_else_notices() {
    assert_over(attacked(&["-B", "-s", "100000"]).await.as_deref());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_ask_for_a_thousand_ranges_are_served_and_nobody_else_notices() {
    assert_over(attacked(&["-R", "-t", "HEAD"]).await.as_deref());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hardly_read_are_got_rid_of_and_nobody_else_notices() {
    let before = refusals("client_stalled");
    let slow = ["-X", "-w", "16", "-y", "64", "-n", "1", "-z", "1"];
    // It looks at its connections too seldom to notice.
    if attacked(&slow).await.is_some() {
        assert!(refusals("client_stalled") >= before + ATTACKERS);
    }
}

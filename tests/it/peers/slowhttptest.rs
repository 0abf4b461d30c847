//! slowhttptest: clients that take their time, so that a server has none left for others.

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::run;
use crate::{
    fixtures::{LOOK_AGAIN, PATIENCE, installed, refusals},
    gateway::{Node, route, settings},
    upstream::Upstream,
    wire::Client,
};

/// How many connections an attack has.
const ATTACKERS: u64 = 200;

/// Lets slowhttptest attack a gateway in this mode, while somebody else is served there; what it says in the end, if it is
/// installed.
async fn attacked(mode: &[&str]) -> Option<String> {
    let program = installed("slowhttptest")?;
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
    let url = format!("http://{}/long", node.addr());
    let common = [
        "-c", &attackers, "-r", &attackers, "-i", "3", "-l", "6", "-u", &url,
    ];
    let arguments = [mode, &common].concat();
    let others = Others::served_by(&node);
    let said = run(&program, &arguments, "").await;
    others.were_served().await;
    Some(said)
}

/// Somebody who asks over and over, and is always answered. How soon is for benches to say.
struct Others {
    enough: watch::Sender<bool>,
    asking: JoinHandle<usize>,
}

impl Others {
    fn served_by(node: &Node) -> Self {
        let (enough, is_enough) = watch::channel(false);
        let addr = node.addr();
        #[expect(clippy::disallowed_methods, reason = "joined when the attack is over")]
        let asking = tokio::spawn(async move {
            let mut client = Client::connect(addr).await;
            let mut served = 0;
            while !*is_enough.borrow() {
                let answer = timeout(PATIENCE, client.get("/quick", "")).await;
                assert_eq!(answer.expect("an answer").status(), 200);
                served += 1;
                sleep(LOOK_AGAIN).await;
            }
            served
        });
        Self { enough, asking }
    }

    async fn were_served(self) {
        self.enough.send_replace(true);
        assert!(self.asking.await.unwrap() > 0);
    }
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

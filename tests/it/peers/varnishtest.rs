//! varnishtest: clients and servers that send and expect exactly what a script says.

use std::path::Path;

use flexgate::devstack::free_port;

use super::run;
use crate::{fixtures::installed, gateway::Node};

/// Plays one script. It names the gateway and where its own server has to listen.
async fn play(script: &str) {
    let Some(program) = installed("varnishtest") else {
        return;
    };
    let upstream = format!("127.0.0.1:{}", free_port().unwrap());
    let node = Node::forwarding_to(&format!("http://{upstream}"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/peers")
        .join(script);
    let arguments = [
        &format!("-Dgateway={}", node.addr()),
        &format!("-Dupstream={upstream}"),
        script.to_str().unwrap(),
    ];
    let printed = run(&program, &arguments, "").await;
    assert!(printed.contains("passed"), "{printed}");
}

#[tokio::test]
async fn each_hop_has_its_own_framing() {
    play("framing.vtc").await;
}

#[tokio::test]
async fn what_has_no_body_has_none() {
    play("bodiless.vtc").await;
}

#[tokio::test]
async fn fields_of_one_hop_stay_on_it() {
    play("hop_by_hop.vtc").await;
}

#[tokio::test]
async fn requests_that_come_together_are_told_apart() {
    play("pipelined.vtc").await;
}

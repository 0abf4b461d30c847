//! Whether a projection that is made anew delays requests: 5,000 a second, on the same cores, first without and then
//! while outcomes are made anew again and again.

use std::{process::Stdio, time::Duration};

use flexgate::{
    journal::jetstream::{Link, Names},
    projectors::{Answer, Ask, Projectors},
};
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

use crate::{
    cluster::{self, FlexGate, Recording},
    nginx::{Backend, WORKERS, is_installed},
};

const REQUESTS_PER_SECOND: u32 = 5_000;
/// Connections of the load; each sends its share at an even pace.
const CONNECTIONS: u32 = 50;
/// How long each half takes. The first one fills the stream that the second one reads.
const DURATION: Duration = Duration::from_secs(30);
/// The pause before it is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Runs it and prints what it showed.
pub async fn run() {
    if !is_installed("nginx") || !is_installed("h2load") {
        println!("the bench needs nginx and h2load: apt install nginx-light nghttp2-client");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::start(folder.path());
    let flexgate = FlexGate::start(folder.path(), 1, WORKERS, backend.port(), Recording::On).await;
    let postgres = cluster::postgres(folder.path()).await;
    let projector = cluster::projector(folder.path(), flexgate.nats(), postgres.url());
    let link = Link::open(flexgate.nats(), "bench").await.unwrap();
    let projectors = Projectors::new(link, &Names::new("bench").unwrap());
    let port = flexgate.ports()[0];

    println!("without: {}", loaded(port).await);
    let mut begun = 0;
    let rebuilding = async {
        let ask = Ask::Rebuild {
            projection: "outcomes".to_owned(),
            verify: false,
            actor: "bench".to_owned(),
        };
        loop {
            if matches!(projectors.ask(&ask).await, Ok(Answer::Begun { .. })) {
                begun += 1;
            }
            sleep(ASK_AGAIN).await;
        }
    };
    let began = Instant::now();
    let during = tokio::select! {
        said = loaded(port) => said,
        () = rebuilding => unreachable!("it goes on"),
    };
    println!(
        "while outcomes were made anew, begun {begun} times in {:.0} s: {during}",
        began.elapsed().as_secs_f64()
    );
    drop(projector);
    postgres.stop().await;
}

/// What the load says of how long requests took: the least, the most, the mean, the standard deviation.
async fn loaded(port: u16) -> String {
    let output = Command::new("h2load")
        .args(["--h1", "-t1", &format!("-c{CONNECTIONS}")])
        .arg(format!("--rps={}", REQUESTS_PER_SECOND / CONNECTIONS))
        .arg(format!("-D{}", DURATION.as_secs()))
        .arg(format!("http://127.0.0.1:{port}/bench"))
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let said = String::from_utf8(output.await.unwrap().stdout).unwrap();
    let line = said.lines().find(|line| line.starts_with("time for request"));
    line.unwrap_or("h2load said nothing").to_owned()
}

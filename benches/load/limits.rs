//! What a limit costs a request: two routes of one gateway, one of them under a limit that two million requests a second stay
//! below, in turns. And what it costs requests when Redis freezes and dies in the middle of a turn.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use flexgate::devstack::Server;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    client::Connection,
    cluster::{self, FlexGate, Recording},
    nginx::{Backend, WORKERS, is_installed},
    side_by_side::{compare, median},
    turn::{self, Asked, Load, Measured},
};

/// How often each has its turn.
const ROUNDS: usize = 7;
/// How long a turn is.
const TURN: Duration = Duration::from_secs(4);
/// What a limit with leases may cost: CPU time per request with it over that without it.
const LIMIT_MAX: f64 = 1.03;
/// How much the 99th percentile may rise while Redis dies, in milliseconds.
const P99_RISE_MAX_MS: f64 = 2.0;

/// How long a node may take to find Redis again.
const FOUND_AGAIN: Duration = Duration::from_millis(500);

/// The paths, and the limits of their routes.
const ROUTES: [(&str, Option<(&str, bool)>); 4] = [
    ("free", None),
    ("leased", Some(("all", false))),
    ("address", Some(("address", false))),
    ("strict", Some(("all", true))),
];

/// Runs it and prints what it showed.
pub fn run() {
    if !["nginx", "wrk"].into_iter().all(is_installed) {
        println!("the bench needs nginx and wrk: apt install nginx-light wrk");
        return;
    }
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::start(folder.path());
    let mut redis = runtime.block_on(cluster::valkey(folder.path()));
    let flexgate = runtime.block_on(start(folder.path(), backend.port(), redis.url()));
    let (port, pids) = (flexgate.ports()[0], flexgate.pids());
    let turn = |path: &str, span| {
        let asked = Asked::at(format!("http://127.0.0.1:{port}/{path}/bench"));
        let measured = turn::run(Load::Wrk, &asked, &pids, span);
        assert!(measured.errors == 0, "{} errors at {path}", measured.errors);
        measured
    };
    let mut turns = ROUTES.map(|_| Vec::new());
    for (path, _) in ROUTES {
        let _warm = turn(path, Duration::from_secs(1));
    }
    for _ in 0..ROUNDS {
        for ((path, _), turns) in ROUTES.iter().zip(&mut turns) {
            turns.push(turn(path, TURN));
        }
    }
    println!("medians of {ROUNDS} turns of {} s", TURN.as_secs());
    for ((path, _), turns) in ROUTES.iter().zip(&turns) {
        println!(
            "{path:<10} {:>10.0} requests/s, p99 {:>6.2} ms, CPU {:>6.2} us/request",
            median(turns, |turn| turn.requests_per_second),
            median(turns, |turn| turn.p99_ms),
            median(turns, |turn| turn.cpu_us),
        );
    }
    let [free, leased, address, strict] = &turns;
    let cpu = |turn: &Measured| turn.cpu_us;
    compare(
        "CPU per request, leased / free",
        (leased, free),
        cpu,
        Some(LIMIT_MAX),
    );
    compare("CPU per request, by address / free", (address, free), cpu, None);
    compare("CPU per request, strict / free", (strict, free), cpu, None);

    let mut dying = Vec::new();
    for _ in 0..ROUNDS {
        dying.push(tormented(&runtime, &mut redis, || turn("leased", TURN)));
        pause(&runtime, FOUND_AGAIN);
    }
    let p99 = |turns: &[Measured]| median(turns, |turn| turn.p99_ms);
    let rise = p99(&dying) - p99(leased);
    let held = if rise <= P99_RISE_MAX_MS {
        "held"
    } else {
        "NOT HELD"
    };
    println!(
        "p99 while Redis freezes and dies: {rise:+.2} ms; at most +{P99_RISE_MAX_MS:.0} is asked: {held}"
    );
}

async fn start(folder: &Path, backend: u16, redis: &str) -> FlexGate {
    let variables = [("REDIS_URL", redis)];
    let flexgate = FlexGate::start_with(folder, (1, WORKERS), backend, Recording::Off, &variables).await;
    for (path, limit) in ROUTES {
        let mut route = json!({
            "id": path,
            "path": format!("/{path}/*"),
            "stripPath": true,
            "upstream": format!("http://127.0.0.1:{backend}"),
        });
        if let Some((per, strict)) = limit {
            route["rateLimit"] = limit_of(per, strict);
        }
        flexgate.create("/api/routes", route).await;
    }
    let gateway = ([127, 0, 0, 1], flexgate.ports()[0]).into();
    let first = Connection::open(gateway)
        .await
        .unwrap()
        .get("/leased/bench")
        .await
        .unwrap();
    assert!(first.headers.contains_key("ratelimit"), "{first:?}");
    flexgate
}

fn limit_of(per: &str, strict: bool) -> Value {
    json!({ "requests": 2_000_000, "window": "1s", "per": per, "strict": strict })
}

/// A turn in which Redis freezes for a second, and then dies and comes back with nothing.
fn tormented(runtime: &Runtime, redis: &mut Server, turn: impl Fn() -> Measured + Sync) -> Measured {
    thread::scope(|scope| {
        let measured = scope.spawn(&turn);
        let started = Instant::now();
        let at = |part: u32| pause(runtime, (TURN * part / 8).saturating_sub(started.elapsed()));
        at(1);
        redis.freeze();
        at(3);
        redis.thaw();
        at(5);
        redis.kill9();
        at(6);
        runtime.block_on(redis.restart()).unwrap();
        measured.join().unwrap()
    })
}

fn pause(runtime: &Runtime, span: Duration) {
    runtime.block_on(async { tokio::time::sleep(span).await });
}

//! What a proxied request costs beside nginx's: the same backend, the same headers added, the same load, in turns; and what
//! recording it adds to that.
//!
//! `make bench` builds with the `dist` profile and prints a table for each way of speaking to the proxy: requests a second,
//! latency, and the CPU time of the proxy's own processes per request, which is what a noisy machine can still tell. Needs
//! nginx, wrk and h2load.

use std::{path::Path, time::Duration};

use serde_json::json;
use tokio::runtime::Runtime;

use crate::{
    cluster::{self, FlexGate, Recording},
    nginx::{self, Backend, GuardedNginx, Nginx, WORKERS},
    turn::{self, Asked, Load, Measured},
};

/// How often each proxy has its turn.
const ROUNDS: usize = 7;
/// How long a turn is.
const TURN: Duration = Duration::from_secs(5);
/// What the issue of speed is decided by: our CPU time per request over nginx's.
const RATIO_MAX: f64 = 1.10;
/// What recording may cost: our CPU time per request with it over that without it.
const RECORDING_MAX: f64 = 1.05;

/// What everything together may cost: our CPU time per request over nginx's, which does the same or less.
const GUARDED_MAX: f64 = 1.00;

/// A proxy that has turns.
struct Contestant {
    name: &'static str,
    asked: Asked,
    pids: Vec<u32>,
}

/// Runs the contests and prints their tables; if only that with everything on is asked for, that one.
pub fn run(only_everything_on: bool) {
    let missing: Vec<_> = ["nginx", "wrk", "h2load"]
        .into_iter()
        .filter(|tool| !nginx::is_installed(tool))
        .collect();
    if !missing.is_empty() {
        println!(
            "the bench needs {}: apt install nginx-light wrk nghttp2-client",
            missing.join(", ")
        );
        return;
    }
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::start(folder.path());
    if only_everything_on {
        return everything_on(&runtime, folder.path(), backend.port());
    }
    let nginx = Nginx::start(folder.path(), backend.port());
    let off = start(&runtime, folder.path(), backend.port(), Recording::Off);
    let on = start(&runtime, folder.path(), backend.port(), Recording::On);
    let (theirs, ours) = (nginx.ports(), [&off, &on].map(|flexgate| flexgate.ports()[0]));
    let our_tls = off.tls_ports()[0];
    let nginx = |url| contestant("nginx", url, nginx.pids());
    let off = |url| contestant("flexgate", url, off.pids());
    let on = |url| contestant("recording", url, on.pids());

    let plain = |port| format!("http://127.0.0.1:{port}/bench");
    let contestants = [
        nginx(plain(theirs.http1)),
        off(plain(ours[0])),
        on(plain(ours[1])),
    ];
    let [beside, off_turns, on_turns] = contest("HTTP/1.1", Load::Wrk, &contestants);
    let cpu = |turn: &Measured| turn.cpu_us;
    compare(
        "CPU per request, flexgate / nginx",
        (&off_turns, &beside),
        cpu,
        Some(RATIO_MAX),
    );
    compare(
        "CPU per request, recording / not",
        (&on_turns, &off_turns),
        cpu,
        Some(RECORDING_MAX),
    );
    compare(
        "system's CPU, recording / not",
        (&on_turns, &off_turns),
        |turn| turn.system_us,
        None,
    );
    everything_on(&runtime, folder.path(), backend.port());

    let contestants = [nginx(plain(theirs.http2)), off(plain(ours[0]))];
    let [beside, turns] = contest("HTTP/2 with clients", Load::H2load, &contestants);
    compare("CPU per request, flexgate / nginx", (&turns, &beside), cpu, None);

    let encrypted = |port| format!("https://127.0.0.1:{port}/bench");
    let contestants = [nginx(encrypted(theirs.tls)), off(encrypted(our_tls))];
    let [beside, turns] = contest("TLS with clients, HTTP/1.1", Load::Wrk, &contestants);
    compare("CPU per request, flexgate / nginx", (&turns, &beside), cpu, None);
}

/// A key, a limit whose budget Redis has, required fields, metrics and recording, beside what nginx has of these.
fn everything_on(runtime: &Runtime, folder: &Path, backend: u16) {
    let folder = folder.join("guarded");
    std::fs::create_dir(&folder).unwrap();
    let redis = runtime.block_on(cluster::valkey(&folder));
    let variables = [("REDIS_URL", redis.url())];
    let (flexgate, key) = runtime.block_on(async {
        let flexgate = FlexGate::start_with(&folder, (1, WORKERS), backend, Recording::On, &variables).await;
        let route = json!({
            "path": "/guarded/*",
            "upstream": format!("http://127.0.0.1:{backend}"),
            "auth": "required",
            "rateLimit": { "requests": 2_000_000, "window": "1s", "per": "key" },
            "validate": { "contentTypes": ["application/json"], "headers": [{ "name": "user-agent" }] },
        });
        flexgate.create("/api/routes", route).await;
        let key = flexgate.create("/api/keys", json!({ "name": "bench" })).await;
        (flexgate, key["secret"].as_str().unwrap().to_owned())
    });
    let nginx = GuardedNginx::start(&folder, backend, &key);
    let with_key = |name, port, pids| Contestant {
        asked: Asked {
            url: format!("http://127.0.0.1:{port}/guarded/bench"),
            fields: vec![format!("X-API-Key: {key}"), "User-Agent: bench".to_owned()],
            script: None,
        },
        name,
        pids,
    };
    let contestants = [
        with_key("nginx", nginx.port(), nginx.pids()),
        with_key("flexgate", flexgate.ports()[0], flexgate.pids()),
    ];
    let [beside, turns] = contest("Everything on, HTTP/1.1", Load::Wrk, &contestants);
    compare(
        "CPU per request, flexgate / nginx",
        (&turns, &beside),
        |turn| turn.cpu_us,
        Some(GUARDED_MAX),
    );
}

fn start(runtime: &Runtime, folder: &Path, backend: u16, recording: Recording) -> FlexGate {
    let folder = folder.join(format!("{recording:?}"));
    std::fs::create_dir(&folder).unwrap();
    runtime.block_on(FlexGate::start(&folder, 1, WORKERS, backend, recording))
}

fn contestant(name: &'static str, url: String, pids: Vec<u32>) -> Contestant {
    let asked = Asked::at(url);
    Contestant { name, asked, pids }
}

/// Gives each its turns, prints what they came to, and returns them.
fn contest<const N: usize>(what: &str, load: Load, contestants: &[Contestant; N]) -> [Vec<Measured>; N] {
    let run = |contestant: &Contestant, span| turn::run(load, &contestant.asked, &contestant.pids, span);
    for contestant in contestants {
        let warm = run(contestant, Duration::from_secs(2));
        let (name, errors) = (contestant.name, warm.errors);
        assert!(errors == 0, "{name} answered {errors} requests with an error");
    }
    let mut turns = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (contestant, turns) in contestants.iter().zip(&mut turns) {
            turns.push(run(contestant, TURN));
        }
    }
    println!(
        "\n{what}: {load}, medians of {ROUNDS} turns of {} s",
        TURN.as_secs()
    );
    println!(
        "{:<10} {:>12} {:>10} {:>10} {:>16} {:>16} {:>8}",
        "", "requests/s", "p50 ms", "p99 ms", "CPU us/request", "system us/req.", "errors"
    );
    for (contestant, turns) in contestants.iter().zip(&turns) {
        println!(
            "{:<10} {:>12.0} {:>10.2} {:>10.2} {:>16.2} {:>16.2} {:>8}",
            contestant.name,
            median(turns, |turn| turn.requests_per_second),
            median(turns, |turn| turn.p50_ms),
            median(turns, |turn| turn.p99_ms),
            median(turns, |turn| turn.cpu_us),
            median(turns, |turn| turn.system_us),
            turns.iter().map(|turn| turn.errors).sum::<u64>(),
        );
    }
    turns
}

/// Ratios of turns that followed each other.
pub fn compare(
    what: &str,
    (one, other): (&[Measured], &[Measured]),
    of: impl Fn(&Measured) -> f64,
    max: Option<f64>,
) {
    let mut ratios: Vec<f64> = one
        .iter()
        .zip(other)
        .map(|(one, other)| of(one) / of(other))
        .collect();
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    let verdict = max.map_or(String::new(), |max| {
        let held = if ratio <= max { "held" } else { "NOT HELD" };
        format!("; at most {max:.2} is asked: {held}")
    });
    println!(
        "{what}: {ratio:.3} (turns: {:.3} to {:.3}){verdict}",
        ratios[0],
        ratios[ratios.len() - 1]
    );
}

/// The median of what was measured in turns.
pub fn median(turns: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = turns.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

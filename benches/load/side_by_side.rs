//! What a proxied request costs beside nginx: the same backend, the same headers added, the same load, in turns; and what
//! recording it adds to that.
//!
//! `make bench` builds with the `dist` profile and prints a table: requests a second, latency, and the CPU time of the
//! proxy's own processes per request, which is what a noisy machine can still tell. Needs nginx and wrk.

use std::time::Duration;

use crate::{
    cluster::{FlexGate, Recording},
    nginx::{self, Backend, Nginx, WORKERS},
    turn::{self, Measured},
};

/// How often each proxy has its turn.
const ROUNDS: usize = 7;
/// How long a turn is.
const TURN: Duration = Duration::from_secs(5);
/// Connections of the load.
const CONNECTIONS: usize = 64;
/// What the issue of speed is decided by: our CPU time per request over nginx's.
const RATIO_MAX: f64 = 1.10;
/// What recording may cost: our CPU time per request with it over that without it.
const RECORDING_MAX: f64 = 1.05;
/// Everybody who has a turn.
const CONTESTANTS: usize = 3;

/// Runs the contest and prints the table.
pub fn run() {
    let missing: Vec<_> = ["nginx", "wrk"]
        .into_iter()
        .filter(|tool| !nginx::is_installed(tool))
        .collect();
    if !missing.is_empty() {
        println!(
            "the bench needs {}: apt install nginx-light wrk",
            missing.join(" and ")
        );
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::start(folder.path());
    let nginx = Nginx::start(folder.path(), backend.port());
    let start = |data: &str, recording| {
        let folder = folder.path().join(data);
        std::fs::create_dir(&folder).unwrap();
        runtime.block_on(FlexGate::start(&folder, 1, WORKERS, backend.port(), recording))
    };
    let (off, on) = (start("off", Recording::Off), start("on", Recording::On));

    let contestants: [_; CONTESTANTS] = [
        ("nginx", nginx.port(), nginx.pids()),
        ("flexgate", off.ports()[0], off.pids()),
        ("recording", on.ports()[0], on.pids()),
    ];
    for (name, port, pids) in &contestants {
        let warm = turn::run(*port, pids, CONNECTIONS, Duration::from_secs(2));
        assert!(
            warm.errors == 0,
            "{name} answered {} requests with an error",
            warm.errors
        );
    }
    let mut turns = [const { Vec::new() }; CONTESTANTS];
    for _ in 0..ROUNDS {
        for ((_, port, pids), turns) in contestants.iter().zip(&mut turns) {
            turns.push(turn::run(*port, pids, CONNECTIONS, TURN));
        }
    }
    report(&contestants.map(|(name, ..)| name), &turns);
}

fn report(names: &[&str; CONTESTANTS], turns: &[Vec<Measured>; CONTESTANTS]) {
    println!(
        "\nplain proxying, {CONNECTIONS} connections, medians of {ROUNDS} turns of {} s",
        TURN.as_secs()
    );
    println!(
        "{:<10} {:>12} {:>10} {:>10} {:>16} {:>16} {:>8}",
        "", "requests/s", "p50 ms", "p99 ms", "CPU us/request", "system us/req.", "errors"
    );
    for (name, turns) in names.iter().zip(turns) {
        println!(
            "{name:<10} {:>12.0} {:>10.2} {:>10.2} {:>16.2} {:>16.2} {:>8}",
            median(turns, |turn| turn.requests_per_second),
            median(turns, |turn| turn.p50_ms),
            median(turns, |turn| turn.p99_ms),
            median(turns, |turn| turn.cpu_us),
            median(turns, |turn| turn.system_us),
            turns.iter().map(|turn| turn.errors).sum::<u64>(),
        );
    }
    let [nginx, off, on] = turns;
    println!();
    compare(
        "CPU per request, flexgate / nginx",
        off,
        nginx,
        |turn| turn.cpu_us,
        Some(RATIO_MAX),
    );
    compare(
        "CPU per request, recording / not",
        on,
        off,
        |turn| turn.cpu_us,
        Some(RECORDING_MAX),
    );
    compare(
        "system's CPU, recording / not",
        on,
        off,
        |turn| turn.system_us,
        None,
    );
}

/// Ratios of turns that followed each other.
fn compare(
    what: &str,
    one: &[Measured],
    other: &[Measured],
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

fn median(turns: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = turns.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

//! What a proxied request costs beside nginx: the same backend, the same headers added, the same load, in turns.
//!
//! `make bench` builds with the `dist` profile and prints a table: requests a second, latency, and the CPU time of the
//! proxy's own processes per request, which is what a noisy machine can still tell. Needs nginx and wrk.

use std::time::Duration;

use crate::{
    cluster::FlexGate,
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

/// Runs the contest and prints the table.
pub fn run() {
    let missing: Vec<_> = ["nginx", "wrk"]
        .into_iter()
        .filter(|tool| !nginx::installed(tool))
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
    let flexgate = runtime.block_on(FlexGate::start(folder.path(), 1, WORKERS, backend.port()));

    let contestants = [
        ("nginx", nginx.port(), nginx.pids()),
        ("flexgate", flexgate.ports()[0], flexgate.pids()),
    ];
    for (name, port, pids) in &contestants {
        let warm = turn::run(*port, pids, CONNECTIONS, Duration::from_secs(2));
        assert!(
            warm.errors == 0,
            "{name} answered {} requests with an error",
            warm.errors
        );
    }
    let mut turns = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        for ((_, port, pids), turns) in contestants.iter().zip(&mut turns) {
            turns.push(turn::run(*port, pids, CONNECTIONS, TURN));
        }
    }
    report(&contestants.map(|(name, ..)| name), &turns);
}

fn report(names: &[&str; 2], turns: &[Vec<Measured>; 2]) {
    println!(
        "\nplain proxying, {CONNECTIONS} connections, medians of {ROUNDS} turns of {} s",
        TURN.as_secs()
    );
    println!(
        "{:<10} {:>12} {:>10} {:>10} {:>16} {:>8}",
        "", "requests/s", "p50 ms", "p99 ms", "CPU us/request", "errors"
    );
    for (name, turns) in names.iter().zip(turns) {
        println!(
            "{name:<10} {:>12.0} {:>10.2} {:>10.2} {:>16.2} {:>8}",
            median(turns, |turn| turn.requests_per_second),
            median(turns, |turn| turn.p50_ms),
            median(turns, |turn| turn.p99_ms),
            median(turns, |turn| turn.cpu_us),
            turns.iter().map(|turn| turn.errors).sum::<u64>(),
        );
    }
    let mut ratios: Vec<f64> = turns[0]
        .iter()
        .zip(&turns[1])
        .map(|(nginx, flexgate)| flexgate.cpu_us / nginx.cpu_us)
        .collect();
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    println!(
        "\nCPU per request, flexgate / nginx: {ratio:.3} (turns: {:.3} to {:.3}); at most {RATIO_MAX:.2} is asked: {}",
        ratios[0],
        ratios[ratios.len() - 1],
        if ratio <= RATIO_MAX { "held" } else { "NOT HELD" },
    );
}

fn median(turns: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = turns.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

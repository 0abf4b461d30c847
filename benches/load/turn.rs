//! One turn: wrk against a port, and what it cost the processes behind it.

use std::{fs, process::Command, time::Duration};

/// What one turn showed.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Throughput.
    pub requests_per_second: f64,
    /// Median latency.
    pub p50_ms: f64,
    /// 99th percentile of the latency.
    pub p99_ms: f64,
    /// User and system time of the proxy's processes per request, in microseconds.
    pub cpu_us: f64,
    /// Time of all processors that were not idle per request, in microseconds: load, backend, NATS and all.
    pub system_us: f64,
    /// Answers that are not 2xx, and broken connections.
    pub errors: u64,
}

/// Loads a port for a while.
pub fn run(port: u16, pids: &[u32], connections: usize, turn: Duration) -> Measured {
    let (before, busy_before) = (cpu_seconds(pids), busy_seconds());
    let output = Command::new("wrk")
        .args([
            "-t",
            "1",
            "-c",
            &connections.to_string(),
            "-d",
            &format!("{}s", turn.as_secs()),
            "--latency",
        ])
        .arg(format!("http://127.0.0.1:{port}/bench"))
        .output()
        .unwrap();
    let (cpu, busy) = (cpu_seconds(pids) - before, busy_seconds() - busy_before);
    let text = String::from_utf8_lossy(&output.stdout);
    let requests = number_before(&text, " requests in ");
    let distribution = &text[text.find("Latency Distribution").unwrap()..];
    let errors = after(&text, "Non-2xx or 3xx responses: ") + socket_errors(&text);
    Measured {
        requests_per_second: value(&text, "Requests/sec:"),
        p50_ms: milliseconds(distribution, "50%"),
        p99_ms: milliseconds(distribution, "99%"),
        cpu_us: cpu * 1e6 / requests,
        system_us: busy * 1e6 / requests,
        errors,
    }
}

/// User and system time so far, from `/proc/<pid>/stat` (proc(5): fields 14 and 15, in hundredths of a second).
fn cpu_seconds(pids: &[u32]) -> f64 {
    let ticks = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let after_name = stat.rsplit_once(')').unwrap().1;
        after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<f64>().unwrap())
            .sum::<f64>()
    };
    pids.iter().map(ticks).sum::<f64>() / 100.0
}

/// Time that processors were busy so far, from `/proc/stat` (proc(5): all but idle and waiting for the disk).
fn busy_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let ticks = stat.lines().next().unwrap().split_whitespace().skip(1);
    let ticks: Vec<f64> = ticks.map(|field| field.parse().unwrap()).collect();
    (ticks[..8].iter().sum::<f64>() - ticks[3] - ticks[4]) / 100.0
}

fn word_after<'a>(text: &'a str, label: &str) -> &'a str {
    let at = text
        .find(label)
        .unwrap_or_else(|| panic!("no {label:?} in {text}"));
    text[at + label.len()..].split_whitespace().next().unwrap()
}

fn value(text: &str, label: &str) -> f64 {
    word_after(text, label).parse().unwrap()
}

fn milliseconds(text: &str, label: &str) -> f64 {
    let word = word_after(text, label);
    let (number, unit) = word.split_at(word.find(|c: char| c.is_alphabetic()).unwrap());
    let scale = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1000.0,
        other => panic!("wrk speaks of {other}"),
    };
    number.parse::<f64>().unwrap() * scale
}

fn number_before(text: &str, label: &str) -> f64 {
    let at = text
        .find(label)
        .unwrap_or_else(|| panic!("no {label:?} in {text}"));
    text[..at]
        .split_whitespace()
        .next_back()
        .unwrap()
        .parse()
        .unwrap()
}

fn after(text: &str, label: &str) -> u64 {
    text.find(label).map_or(0, |at| {
        text[at + label.len()..]
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap()
    })
}

/// `Socket errors: connect 0, read 0, write 0, timeout 0`.
fn socket_errors(text: &str) -> u64 {
    let line = text
        .lines()
        .find(|line| line.contains("Socket errors:"))
        .unwrap_or_default();
    line.split([' ', ','])
        .filter_map(|word| word.parse::<u64>().ok())
        .sum()
}

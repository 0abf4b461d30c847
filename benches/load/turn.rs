//! One turn: a load against a URL, and what it cost the processes behind it.

use std::{fmt, fs, path::PathBuf, process::Command, time::Duration};

/// Connections of the load; in HTTP/2, requests at once.
const CONCURRENT: usize = 64;
/// Connections that share them in HTTP/2.
const CHANNELS: usize = 8;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// HTTP/1.1, with and without TLS.
    Wrk,
    /// HTTP/2. It tells a mean latency only.
    H2load,
}

impl fmt::Display for Load {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrk => write!(out, "wrk with {CONCURRENT} connections"),
            Self::H2load => write!(
                out,
                "h2load with {CONCURRENT} requests at once over {CHANNELS} connections"
            ),
        }
    }
}

/// What one turn showed.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Throughput.
    pub requests_per_second: f64,
    /// Median latency, or the mean.
    pub p50_ms: f64,
    /// 99th percentile of the latency, or the worst.
    pub p99_ms: f64,
    /// User and system time of the proxy's processes per request, in microseconds.
    pub cpu_us: f64,
    /// Time of all processors that were not idle per request, in microseconds: load, backend, NATS and all.
    pub system_us: f64,
    /// Answers that are not 2xx, and broken connections.
    pub errors: u64,
}

/// What a load tells of itself.
struct Told {
    requests: f64,
    requests_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    errors: u64,
}

/// What is asked for, and with which further fields: `name: value`.
#[derive(Debug, Clone)]
pub struct Asked {
    pub url: String,
    pub fields: Vec<String>,
    /// What `wrk` asks for instead of always the same.
    pub script: Option<PathBuf>,
}

impl Asked {
    /// With no fields of ours.
    pub fn at(url: String) -> Self {
        Self {
            url,
            fields: Vec::new(),
            script: None,
        }
    }
}

/// Asks for something for a while.
pub fn run(load: Load, asked: &Asked, pids: &[u32], turn: Duration) -> Measured {
    let (before, busy_before) = (cpu_seconds(pids), busy_seconds());
    let told = match load {
        Load::Wrk => wrk(asked, turn),
        Load::H2load => h2load(asked, turn),
    };
    let (cpu, busy) = (cpu_seconds(pids) - before, busy_seconds() - busy_before);
    Measured {
        requests_per_second: told.requests_per_second,
        p50_ms: told.p50_ms,
        p99_ms: told.p99_ms,
        cpu_us: cpu * 1e6 / told.requests,
        system_us: busy * 1e6 / told.requests,
        errors: told.errors,
    }
}

fn wrk(asked: &Asked, turn: Duration) -> Told {
    let own = [
        "-t1".to_owned(),
        format!("-c{CONCURRENT}"),
        format!("-d{}s", turn.as_secs()),
        "--latency".to_owned(),
    ];
    let text = printed("wrk", &own, asked);
    let distribution = &text[text.find("Latency Distribution").unwrap()..];
    Told {
        requests: number_before(&text, " requests in "),
        requests_per_second: value(&text, "Requests/sec:"),
        p50_ms: milliseconds(word_after(distribution, "50%")),
        p99_ms: milliseconds(word_after(distribution, "99%")),
        errors: after(&text, "Non-2xx or 3xx responses: ") + socket_errors(&text),
    }
}

fn h2load(asked: &Asked, turn: Duration) -> Told {
    let each = CONCURRENT / CHANNELS;
    let own = [
        "-t1".to_owned(),
        format!("-c{CHANNELS}"),
        format!("-m{each}"),
        format!("-D{}", turn.as_secs()),
    ];
    let text = printed("h2load", &own, asked);
    let mut times = text[text.find("time for request:").unwrap()..]
        .split_whitespace()
        .skip(3);
    let (_min, max, mean) = (times.next(), times.next().unwrap(), times.next().unwrap());
    let requests = number_before(&text, " succeeded,");
    Told {
        requests,
        requests_per_second: requests / turn.as_secs_f64(),
        p50_ms: milliseconds(mean),
        p99_ms: milliseconds(max),
        errors: after(&text, "succeeded, "),
    }
}

fn printed(program: &str, own: &[String], asked: &Asked) -> String {
    let fields = asked.fields.iter().flat_map(|field| ["-H", field]);
    let script = asked
        .script
        .iter()
        .flat_map(|script| ["-s".into(), script.clone()]);
    let output = Command::new(program)
        .args(own)
        .args(script)
        .args(fields)
        .arg(&asked.url)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
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

/// A span such as `1.5ms`.
fn milliseconds(word: &str) -> f64 {
    let (number, unit) = word.split_at(word.find(|c: char| c.is_alphabetic()).unwrap());
    let scale = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1000.0,
        other => panic!("a load speaks of {other}"),
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

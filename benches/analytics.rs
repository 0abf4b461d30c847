//! How long the tables take to answer: `cargo bench --profile dev --bench analytics`, since it is PostgreSQL that works.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and stops where something is wrong"
)]

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use flexgate::devstack::{Binaries, Durability, Server, ServerOptions};
use flexgate_projections::{Interval, Most, Span, Tables, connect};
use sqlx::Executor as _;

/// Sketches of about 280 buckets within four and a half doublings, another one for each route and day: two years of days, and
/// of weeks.
const FILL: [&str; 3] = [
    "CREATE TEMP TABLE sketches AS
     SELECT n, sum((1 + (random() * 1000)::int) * ('1e' || 16 * bucket)::numeric) AS sketch
     FROM generate_series(0, 199) n, generate_series(700 + n % 50, 980 + n % 50) bucket GROUP BY n",
    "INSERT INTO flexgate.rollup_daily
     SELECT day::date, 'route-' || route, 100000, 10, 1000000, 1000000, sketch, sketch
     FROM generate_series(now() - interval '729 days', now(), '1 day') day CROSS JOIN generate_series(1, 50) route
     JOIN sketches ON n = (route * 7 + extract(day FROM day)::int) % 200",
    "INSERT INTO flexgate.rollup_weekly
     SELECT date_trunc('week', day::timestamp)::date, route, sum(requests), sum(errors), sum(bytes_in), sum(bytes_out),
         flexgate.merge(latency), flexgate.merge(upstream_latency)
     FROM flexgate.rollup_daily GROUP BY 1, 2",
];
/// How often each question is asked.
const TURNS: usize = 9;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o755)) // PostgreSQL runs as another user where this is root
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap();
    let server = postgres(folder.path()).await;
    let mut connection = connect(server.url()).await.unwrap();
    for statement in FILL {
        connection.execute(statement).await.unwrap();
    }
    connection.execute("VACUUM ANALYZE").await.unwrap();
    let tables = Tables::new(server.url()).unwrap();
    let month = back(30, Interval::Day);
    let year = back(364, Interval::Week);
    told("30 days by 50 routes, three percentiles of each", async || {
        tables.top_routes(&month, Most::Requests, 50).await.unwrap().len()
    })
    .await;
    told("30 days by 50 routes, the slowest first", async || {
        tables.top_routes(&month, Most::Slow, 10).await.unwrap().len()
    })
    .await;
    told(
        "30 days of 50 routes day by day, three percentiles of each",
        async || tables.series(&month, None).await.unwrap().len(),
    )
    .await;
    told(
        "a year of 50 routes week by week, three percentiles of each",
        async || tables.series(&year, None).await.unwrap().len(),
    )
    .await;
    told("a year of one route week by week", async || {
        tables.series(&year, Some("route-7")).await.unwrap().len()
    })
    .await;
}

async fn postgres(data: &Path) -> Server {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/.flexgate/bin");
    let options = ServerOptions {
        data_dir: data.to_owned(),
        binary: Binaries::fetched_into(folder).postgres().await.unwrap(),
        port: None,
        durability: Durability::Test,
    };
    Server::postgres(options).await.unwrap()
}

fn back(days: i64, interval: Interval) -> Span {
    let now: DateTime<Utc> = Utc::now();
    Span::around(now - TimeDelta::days(days - 1), now, interval)
}

/// Asks, and tells the median and the worst.
async fn told(what: &str, ask: impl AsyncFn() -> usize) {
    let mut rows = ask().await; // a connection is made, and pages are read
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..TURNS {
        let began = Instant::now();
        rows = ask().await;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    let millis = |took: Duration| took.as_secs_f64() * 1e3;
    println!(
        "{what}: {rows} rows, {:.1} ms, at most {:.1} ms",
        millis(took[TURNS / 2]),
        millis(took[TURNS - 1])
    );
}

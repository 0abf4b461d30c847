//! How late the tables are under load: a gateway, NATS, a projector and PostgreSQL, everything as it is by default.

use std::{process::Stdio, time::Duration};

use sqlx::Connection as _;
use tokio::{
    process::Command,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    cluster::{self, FlexGate, Recording},
    nginx::{Backend, WORKERS, is_installed},
};

const REQUESTS_PER_SECOND: u32 = 20_000;
/// Connections of the load; each sends its share at an even pace.
const CONNECTIONS: u32 = 50;
const DURATION: Duration = Duration::from_secs(30);
/// What comes before: connections are made, and the projector begins.
const WARM_UP: Duration = Duration::from_secs(3);
/// How often it is looked how late the tables are.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What is asked for.
const P99_MAX_MS: f64 = 1000.0;

/// How long ago the last request arrived that is in the tables, of the core that is furthest behind.
const LAG: &str =
    "SELECT (extract(epoch FROM clock_timestamp() - min(last_at)) * 1000)::float8, sum(outcomes)::bigint
FROM flexgate.outcome_sources";

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
    let mut database = flexgate_projections::connect(postgres.url()).await.unwrap();

    let load = Command::new("h2load")
        .args(["--h1", "-t1", &format!("-c{CONNECTIONS}")])
        .arg(format!("--rps={}", REQUESTS_PER_SECOND / CONNECTIONS))
        .arg(format!("-D{}", (WARM_UP + DURATION).as_secs()))
        .arg(format!("http://127.0.0.1:{}/bench", flexgate.ports()[0]))
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let (load, began) = (load.unwrap(), Instant::now());
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut lags, mut counts) = (Vec::new(), Vec::new());
    while began.elapsed() < WARM_UP + DURATION {
        looks.tick().await;
        let Ok(Some((lag, count))) = sqlx::query_as::<_, (Option<f64>, Option<i64>)>(LAG)
            .fetch_optional(&mut database)
            .await
        else {
            continue; // the tables are not there yet
        };
        if began.elapsed() > WARM_UP
            && let (Some(lag), Some(count)) = (lag, count)
        {
            lags.push(lag);
            counts.push(count);
        }
    }
    drop((load, projector));
    database.close().await.unwrap();
    postgres.stop().await;
    report(lags, &counts);
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn report(mut lags: Vec<f64>, counts: &[i64]) {
    lags.sort_by(f64::total_cmp);
    let at = |percent: usize| lags[(lags.len() - 1) * percent / 100];
    let rate = (counts[counts.len() - 1] - counts[0]) as f64 / DURATION.as_secs_f64();
    let held = if at(99) <= P99_MAX_MS { "held" } else { "NOT HELD" };
    println!(
        "{rate:.0} requests/s into the tables, which are late by p50 {:.0} ms, p99 {:.0} ms, worst {:.0} ms ({} looks); \
         p99 of at most {P99_MAX_MS:.0} ms is asked: {held}",
        at(50),
        at(99),
        at(100),
        lags.len(),
    );
}

//! How fast a projector takes a filled stream into PostgreSQL, everything as it is by default.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use async_nats::HeaderMap;
use flexgate::journal::jetstream::Link;
use flexgate_schemas::{
    IdKey, Outcome,
    frame::{Draft, Source, Writer},
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use sqlx::Connection as _;

use crate::cluster;

/// How many outcomes are projected.
const OUTCOMES: u64 = 3_000_000;
/// How many a frame has.
const FRAME: u64 = 2000;
/// How often it is looked how far the projector is.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long it may take at all.
const PATIENCE: Duration = Duration::from_mins(5);

/// Fills a stream, then lets a projector empty it.
pub async fn run() {
    let folder = tempfile::tempdir().unwrap();
    let (nats, link) = cluster::nats(folder.path()).await;
    let postgres = cluster::postgres(folder.path()).await;
    let bytes = fill(&link).await;
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let each = bytes as f64 / OUTCOMES as f64;
    println!("{OUTCOMES} outcomes on the stream, {each:.1} bytes each");

    project(folder.path(), nats.url(), postgres.url()).await;
    postgres.stop().await;
    nats.stop().await;
}

/// Starts a projector, and waits until it is through.
async fn project(folder: &Path, nats: &str, postgres: &str) {
    let mut database = flexgate_projections::connect(postgres).await.unwrap();
    let began = Instant::now();
    let projector = cluster::projector(folder, nats, postgres);
    let mut first = None;
    loop {
        assert!(began.elapsed() < PATIENCE, "the projector takes too long");
        let done: i64 =
            sqlx::query_scalar("SELECT coalesce(sum(outcomes), 0)::bigint FROM flexgate.outcome_sources")
                .fetch_one(&mut database)
                .await
                .unwrap();
        if done > 0 && first.is_none() {
            first = Some((Instant::now(), done));
        }
        if done.unsigned_abs() == OUTCOMES {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let (since, already) = first.unwrap();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rate = (OUTCOMES - already.unsigned_abs()) as f64 / since.elapsed().as_secs_f64();
    println!(
        "projected in {:.1} s: {rate:.0} outcomes/s once it ran",
        began.elapsed().as_secs_f64()
    );
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM flexgate.requests")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(rows.unsigned_abs(), OUTCOMES);
    drop(projector);
    database.close().await.unwrap();
}

/// Returns how many bytes the payloads have.
async fn fill(link: &Link) -> usize {
    let mut random = SmallRng::seed_from_u64(1);
    let mut writer = Writer::new().unwrap();
    let paths: Vec<String> = (0..500).map(|n| format!("/users/{n}/orders")).collect();
    let routes: Vec<String> = (0..50).map(|n| format!("route-{n}")).collect();
    let mut at = chrono::Utc::now().timestamp_micros() - 600_000_000;
    let mut bytes = 0;
    for first in (0..OUTCOMES).step_by(usize::try_from(FRAME).unwrap()) {
        let outcome = |counter: u64| {
            at += 50 + random.random_range(0..40);
            let upstream = 300 + random.random_range(0..2000_u64).pow(2) / 500;
            Outcome {
                counter,
                arrival: counter + random.random_range(0..20),
                at,
                generation: 1,
                revision: 412,
                route: Some(&routes[random.random_range(0..50)]),
                upstream: Some("api"),
                target: Some(["10.0.0.1:80", "10.0.0.2:80"][random.random_range(0..2)]),
                method: "GET",
                host: Some("shop.example"),
                path: &paths[random.random_range(0..500)],
                status: Some(if random.random_range(0..50) == 0 { 404 } else { 200 }),
                attempts: 1,
                micros: upstream + 40 + random.random_range(0..100),
                upstream_micros: Some(upstream),
                bytes_out: random.random_range(0..3000),
                client: Some("10.1.2.3"),
                user_agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
                ..Outcome::default()
            }
        };
        let source = Source {
            node: "bench".parse().unwrap(),
            boot: "boot".parse().unwrap(),
            core: 0,
        };
        let mut draft = Draft::new(first);
        (first..first + FRAME)
            .map(outcome)
            .for_each(|outcome| draft.add(&outcome));
        let sealed = writer.seal(source, IdKey::new(1), draft).unwrap().unwrap();
        bytes += sealed.payload.len();
        let mut headers = HeaderMap::new();
        for (name, value) in &sealed.headers {
            headers.insert(&**name, &**value);
        }
        let ack = link
            .jetstream()
            .publish_with_headers("bench.outcome.bench", headers, sealed.payload.into())
            .await;
        ack.unwrap().await.unwrap();
    }
    bytes
}

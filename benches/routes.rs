//! What a hundred thousand routes weigh, what it costs to fold their history, and what one edit among them costs.
//! `cargo bench --profile dist --bench routes`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a bench prints, stops where something is wrong, counts no further than a float does, and has no other task to block"
)]

#[path = "memory/own.rs"]
mod memory;

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use flexgate::{
    domain::Changed,
    gateway::{Published, SecretMissing},
    journal::{Fold, fold::Applied, snapshot::Snapshots, store::Record, whole::Whole},
    limiter::Limiter,
    routing::Target,
};
use flexgate_schemas::{
    Chain, ClusterId, Commit, CommitId, Event, Route, Timestamp, Upstream,
    commit::{Actor, ActorKind, Source},
    event::HistoryStarted,
};
use http::{HeaderMap, Method};
use mimalloc::MiMalloc;
use uuid::Uuid;

use memory::{most_resident, resident};

/// The one of the program.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const UPSTREAMS: usize = 100;
const EDITS: usize = 2_000;
const LOOKUPS: usize = 2_000_000;

fn main() {
    let before = resident();
    let few = Node::with(10);
    let some = Node::with(5_000);
    weigh("5,000 routes", before, 5_000);
    drop(some);
    let before = resident();
    let log = history(100_000);
    let written: usize = log.iter().map(|message| message.record.payload.len()).sum();
    println!(
        "a history of {} commits, {:.1} MB",
        log.len(),
        written as f64 / 1e6
    );
    let started = Instant::now();
    let fold = folded(&log);
    println!(
        "{} events are folded in {:.2} s; at most 1 s is asked",
        log.len(),
        started.elapsed().as_secs_f64()
    );
    drop(log);
    weigh("100,000 routes in a state", before, 100_000);
    let started = Instant::now();
    let mut many = Node::serving(fold);
    println!("they are made ready in {:.2} s", started.elapsed().as_secs_f64());
    weigh("100,000 routes, served", before, 100_000);
    many.edit_often();
    weigh("after the edits", before, 100_000);

    for _ in 0..3 {
        for (node, count) in [(&few, 10), (&many, 100_000)] {
            println!("among {count} routes one is found in {:.0} ns", node.nanos(count));
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::in_folder(folder.path());
    let started = Instant::now();
    snapshots.save(&many.fold).unwrap();
    println!(
        "a snapshot is written in {:.2} s",
        started.elapsed().as_secs_f64()
    );
    drop(many);
    let started = Instant::now();
    let fold = snapshots.load().unwrap();
    println!("it is read in {:.2} s", started.elapsed().as_secs_f64());
    let _ready = Node::serving(fold);
    println!(
        "and is served after {:.2} s; at most 1.5 s is asked",
        started.elapsed().as_secs_f64()
    );
    weigh("from a snapshot", before, 100_000);
    println!("at most it was {:.1} MB", most_resident() as f64 / 1e6);
}

/// What a gateway has of the configuration: the fold and what is made of it.
struct Node {
    fold: Fold,
    published: Published,
}

impl Node {
    fn with(routes: usize) -> Self {
        Self::serving(folded(&history(routes)))
    }

    fn serving(fold: Fold) -> Self {
        let published = Published::new(
            Arc::new(|_, _| Err(SecretMissing(String::new()))),
            Limiter::alone(),
        );
        published.publish(&fold.state, &Changed::All, 1, fold.revision);
        Self { fold, published }
    }

    /// As the follower does it: the fold that is served stays as it is until the next one is.
    fn edit_often(&mut self) {
        let mut took = Vec::with_capacity(EDITS);
        for number in 0..EDITS {
            let mut value = route(scattered(number) % self.fold.state.routes().len());
            value.priority = serde_json::from_value((number % 100).into()).unwrap();
            let event = Event::RouteUpdated(value.into());
            let record = record(self.fold.chain, self.fold.revision + 1, event);
            let started = Instant::now();
            let mut ahead = self.fold.clone();
            let Applied::Commit(commit) = ahead.apply(&record).unwrap() else {
                continue;
            };
            let changed = Changed::Entities(commit.events.iter().map(Event::entity).collect());
            self.published.publish(&ahead.state, &changed, 1, ahead.revision);
            self.fold = ahead;
            took.push(started.elapsed());
        }
        took.sort();
        let at = |share: usize| took[(took.len() - 1) * share / 1000].as_secs_f64() * 1e6;
        println!(
            "one edit is applied in {:.0} us (p50), {:.0} us (p99), {:.0} us (worst); at most 1,000 us are asked",
            at(500),
            at(990),
            at(1000)
        );
    }

    /// What it takes to find a route, in a walk over all of them that no cache foresees.
    fn nanos(&self, routes: usize) -> f64 {
        let paths: Vec<String> = (0..routes).map(|number| format!("{}/x", base(number))).collect();
        let (table, method, headers) = (self.fold.state.table(), Method::GET, HeaderMap::new());
        let started = Instant::now();
        for number in 0..LOOKUPS {
            let target = Target {
                host: "gateway.example",
                path: &paths[scattered(number) % routes],
                query: None,
                method: &method,
                headers: &headers,
            };
            black_box(table.find(&target));
        }
        started.elapsed().as_nanos() as f64 / LOOKUPS as f64
    }
}

fn scattered(number: usize) -> usize {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

fn base(number: usize) -> String {
    format!("/team-{:03}/service-{number:06}", number % 317)
}

fn route(number: usize) -> Route {
    let json = format!(
        r#"{{"id":"route-{number:06}","path":"{}/*","upstream":"upstream-{:02}","stripPath":true,"timeout":"5s"}}"#,
        base(number),
        number % UPSTREAMS
    );
    serde_json::from_str(&json).unwrap()
}

fn upstream(number: usize) -> Upstream {
    let json =
        format!(r#"{{"name":"upstream-{number:02}","targets":[{{"url":"http://10.0.0.{number}:8080"}}]}}"#);
    serde_json::from_str(&json).unwrap()
}

/// One commit for each entity.
fn history(routes: usize) -> Vec<Whole> {
    let genesis = Event::HistoryStarted(HistoryStarted {
        reason: "bench".to_owned(),
    });
    let upstreams = (0..UPSTREAMS).map(|number| Event::UpstreamCreated(upstream(number).into()));
    let routes = (0..routes).map(|number| Event::RouteCreated(route(number).into()));
    let mut chain = Chain::ZERO;
    let events = [genesis].into_iter().chain(upstreams).chain(routes);
    (1..)
        .zip(events)
        .map(|(sequence, event)| {
            let record = record(chain, sequence, event);
            chain = chain.then(&record.record.payload);
            record
        })
        .collect()
}

fn record(parent: Chain, sequence: u64, event: Event) -> Whole {
    let commit = Commit {
        id: CommitId::from_uuid(Uuid::now_v7()),
        cluster: ClusterId::from_uuid(Uuid::nil()),
        generation: 1,
        parent,
        reader_level: event.reader_level(),
        actor: Actor {
            kind: ActorKind::Token,
            id: "bench".into(),
        },
        source: Source::Api,
        reason: None,
        at: Timestamp::default(),
        idempotency: None,
        provenance: None,
        parts: Arc::default(),
        events: Arc::new([event]),
    };
    Whole::alone(Record {
        sequence,
        subject: commit.subject().into(),
        payload: commit.to_payload().into(),
        stored_at: Timestamp::default(),
    })
}

fn folded(log: &[Whole]) -> Fold {
    let mut fold = Fold::default();
    for record in log {
        fold.apply(record).unwrap();
    }
    fold
}

fn weigh(what: &str, before: u64, routes: usize) {
    std::thread::sleep(Duration::from_secs(1));
    let now = resident();
    println!(
        "{what}: {:.1} MB resident, {:.0} bytes a route",
        now as f64 / 1e6,
        now.saturating_sub(before) as f64 / routes as f64
    );
}

//! Reading the past: a few at a time, and for nobody who has hung up.

use std::sync::Arc;

use flexgate::journal::{
    jetstream::{Link, Names},
    memory::{MemoryLog, MemorySubscription},
    store::{AppendError, Head, Outgoing, Record, Store, StoreError, Subscription},
};
use flexgate::membership::Members;
use futures_util::future::join_all;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{Api, TOKEN};
use crate::{
    client::Connection,
    fixtures::{LOOK_AGAIN, PATIENCE},
};

/// A log whose readers can be held up.
#[derive(Clone)]
struct HeldLog {
    log: MemoryLog,
    held: Arc<watch::Sender<bool>>,
}

struct Held {
    inner: MemorySubscription,
    held: watch::Receiver<bool>,
}

impl HeldLog {
    fn new() -> Self {
        Self {
            log: MemoryLog::new(),
            held: Arc::default(),
        }
    }

    async fn api(&self) -> Api {
        let nowhere = Link::open("nats://127.0.0.1:9", "test").await.unwrap();
        let members = Members::new(nowhere, Names::new("T").unwrap());
        Api::reading(self.clone(), self.log.clone(), members, None).await
    }

    fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Waits until so many read, the journal's own reader among them.
    async fn has_readers(&self, count: usize) {
        let counted = async {
            while self.held.receiver_count() != count {
                sleep(LOOK_AGAIN).await;
            }
        };
        let in_time = timeout(PATIENCE, counted).await.is_ok();
        assert!(in_time, "{} read, not {count}", self.held.receiver_count());
    }
}

impl Store for HeldLog {
    type Subscription = Held;

    async fn append(&self, message: &Outgoing, expected_last: u64) -> Result<u64, AppendError> {
        self.log.append(message, expected_last).await
    }
    async fn head(&self) -> Result<Head, StoreError> {
        self.log.head().await
    }
    async fn read(&self, sequence: u64) -> Result<Option<Record>, StoreError> {
        self.log.read(sequence).await
    }
    async fn subscribe(&self, after: u64) -> Result<Held, StoreError> {
        Ok(Held {
            inner: self.log.subscribe(after).await?,
            held: self.held.subscribe(),
        })
    }
    async fn connected(&self) {
        self.log.connected().await;
    }
    async fn disconnected(&self) {
        self.log.disconnected().await;
    }
}

impl Subscription for Held {
    async fn next(&mut self) -> Result<Record, StoreError> {
        drop(self.held.wait_for(|held| !held).await);
        self.inner.next().await
    }
    fn ready(&mut self) -> Option<Result<Record, StoreError>> {
        self.inner.ready()
    }
}

/// An API with a little history.
async fn with_a_past(log: &HeldLog) -> Api {
    let api = log.api().await;
    for name in ["a", "b"] {
        let upstream = json!({ "name": name, "url": "http://127.0.0.1:8080" });
        api.post("/api/upstreams", upstream).await.is(201);
    }
    api
}

#[tokio::test]
async fn as_many_as_may_read_the_past_and_others_are_told_when_to_come_again() {
    let log = HeldLog::new();
    let api = with_a_past(&log).await;
    log.hold(true);
    let both = join_all(["/api/config?revision=2", "/api/config/diff?from=1"].map(|past| api.get(past)));
    let one_more = async {
        log.has_readers(3).await;
        let answer = api.get("/api/config?revision=2").await;
        assert_eq!(answer.header("retry-after"), "5");
        answer.problem(503, "history_busy");
        log.hold(false);
    };
    let (both, ()) = tokio::join!(both, one_more);
    for answer in both {
        answer.is(200);
    }
    api.get("/api/config?revision=2").await.is(200);
}

#[tokio::test]
async fn who_hangs_up_reads_no_further_and_leaves_the_turn_to_others() {
    let log = HeldLog::new();
    let api = with_a_past(&log).await;
    log.hold(true);
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut connection = Connection::open(api.addr).await.unwrap();
        let request = Request::builder()
            .method(Method::GET)
            .uri("/api/config?revision=2")
            .header("host", "localhost")
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(Full::default())
            .unwrap();
        waiting.push(Box::pin(async move { connection.begin(request).await.map(drop) }));
    }
    let asked = join_all(&mut waiting);
    tokio::select! {
        _ = asked => panic!("it is held up"),
        () = log.has_readers(3) => {}
    }
    drop(waiting);
    log.has_readers(1).await;
    log.hold(false);
    api.get("/api/config?revision=2").await.is(200);
}

#[tokio::test]
async fn what_cannot_be_read_is_not_passed_over() {
    let api = Api::with_backend().await;
    let patch = json!({ "timeout": 1 });
    let then = api.patch("/api/upstreams/backend", patch).await.revision();
    api.patch("/api/upstreams/backend", json!({ "timeout": 2 }))
        .await
        .is(200);
    let mut records = api.log.contents();
    // As a commit that a newer version made: the journal is past it.
    records[usize::try_from(then).unwrap() - 1].payload = "{}".into();
    api.log.replace(records);
    let problem = api.get("/api/config/diff?from=1").await.problem(404, "not_found");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("cannot read all of it"), "{detail}");
}

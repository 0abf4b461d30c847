//! The admin API as its clients meet it: through HTTP, over a real journal whose log is in memory.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use flexgate::{
    admin::{self, Admin, Metrics, Token},
    audit::Audit,
    drain::Tasks,
    health::Health,
    journal::{
        Journal, Options,
        alerts::Alerts,
        jetstream::{Link, Names},
        memory::MemoryLog,
        store::Store,
    },
    listener,
    membership::Members,
    projectors::Projectors,
    sealing::SealingKeys,
};
use flexgate_projections::Tables;
use flexgate_schemas::{
    AdminEvent, Chain, NodeId, READER_LEVEL, Timestamp,
    node::{Heartbeat, NodeStatus, Position},
};
use http::{Method, Request, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    time::timeout,
};

use crate::{
    client::{Answer, Connection},
    fixtures::PATIENCE,
    gateway::SEALING,
};

mod access;
mod alerts;
mod analytics;
mod attempts;
mod bodies;
mod conditions;
mod configuration;
mod destinations;
mod document;
mod events;
mod health;
mod keys;
pub mod logs;
mod nodes;
mod outages;
mod passwords;
mod past;
mod projections;
mod repetitions;
mod requests;
mod round_trip;
mod routes;
mod settings;
mod texts;
mod upstreams;
mod validation;
mod waiting;

/// The token that opens the API in tests.
const TOKEN: &str = "correct-horse-battery-staple";

/// An admin API that serves on a port of its own.
struct Api {
    addr: SocketAddr,
    tasks: Tasks,
    log: MemoryLog,
    journal: Journal,
    members: Members,
    health: Health,
    /// What was asked and not done.
    told: Mutex<mpsc::Receiver<AdminEvent>>,
}

impl Api {
    /// Over an empty history.
    async fn start() -> Self {
        Self::over(MemoryLog::new()).await
    }

    /// Over a log that others may use too.
    async fn over(log: MemoryLog) -> Self {
        let nowhere = Link::open("nats://127.0.0.1:9", "test").await.unwrap();
        Self::with(log, Members::new(nowhere, Names::new("T").unwrap())).await
    }

    /// With members that the caller keeps.
    async fn with(log: MemoryLog, members: Members) -> Self {
        Self::sealing(log, members, Some(Arc::clone(&SEALING))).await
    }

    /// With these keys to seal secrets with, if any.
    async fn sealing(log: MemoryLog, members: Members, sealing: Option<Arc<SealingKeys>>) -> Self {
        Self::reading(log.clone(), log, members, sealing).await
    }

    /// With another way to the log.
    async fn reading(
        store: impl Store,
        log: MemoryLog,
        members: Members,
        sealing: Option<Arc<SealingKeys>>,
    ) -> Self {
        Self::asking((None, None), store, log, members, sealing).await
    }

    /// With the tables of a database.
    async fn over_tables(url: &str) -> Self {
        let (log, tables) = (MemoryLog::new(), Tables::new(url).unwrap());
        let members = Members::new(
            Link::open("nats://127.0.0.1:9", "test").await.unwrap(),
            Names::new("T").unwrap(),
        );
        Self::asking((Some(tables), None), log.clone(), log, members, None).await
    }

    /// With the tables of a database, and those who keep them.
    async fn over_kept_tables(url: &str, projectors: Projectors) -> Self {
        let (log, tables) = (MemoryLog::new(), Tables::new(url).unwrap());
        let members = Members::new(
            Link::open("nats://127.0.0.1:9", "test").await.unwrap(),
            Names::new("T").unwrap(),
        );
        Self::asking((Some(tables), Some(projectors)), log.clone(), log, members, None).await
    }

    async fn asking(
        (tables, projectors): (Option<Tables>, Option<Projectors>),
        store: impl Store,
        log: MemoryLog,
        members: Members,
        sealing: Option<Arc<SealingKeys>>,
    ) -> Self {
        let tasks = Tasks::new();
        let (alerts, _alerts) = Alerts::channel("admin".parse().unwrap());
        let options = Options {
            store,
            snapshot: None,
            serve: Box::new(|_, _| {}),
            alerts,
            writer: Some(members.lowest_reader()),
        };
        let journal = Journal::start(options, &tasks);
        let mut view = journal.watch();
        let begun = timeout(PATIENCE, view.wait_for(|view| view.generation() > 0)).await;
        drop(begun.expect("a history to begin").unwrap());
        let health = Health::new("1.2.3");
        health.journal_from(journal.watch());
        let (audit, told) = Audit::channel("admin".parse().unwrap());
        let router = admin::router(Admin {
            journal: journal.clone(),
            members: members.clone(),
            health: health.clone(),
            sealing,
            token: Token::new(TOKEN, "the head of whoever wrote this test"),
            audit,
            admin_events: None,
            tables,
            projectors,
            metrics: Metrics::new(|| "flexgate_up 1\n".to_owned()),
            version: "1.2.3",
            tasks: tasks.clone(),
        });
        let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listening.local_addr().unwrap();
        let serving = tasks.clone();
        tasks.spawn(async move { listener::serve(listening, router, &serving).await });
        Self {
            addr,
            tasks,
            log,
            journal,
            members,
            health,
            told: told.into(),
        }
    }

    /// With an upstream called `backend`, which routes may use.
    async fn with_backend() -> Self {
        let api = Self::start().await;
        api.post(
            "/api/upstreams",
            json!({ "name": "backend", "url": "http://127.0.0.1:8080" }),
        )
        .await
        .is(201);
        api
    }

    fn call(&self, method: Method, target: &str) -> Call<'_> {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
        Call {
            api: self,
            request,
            body: Bytes::new(),
        }
    }

    async fn get(&self, target: &str) -> Answer {
        self.call(Method::GET, target).send().await
    }
    async fn post(&self, target: &str, body: Value) -> Answer {
        self.call(Method::POST, target).json(&body).send().await
    }
    async fn put(&self, target: &str, body: Value) -> Answer {
        self.call(Method::PUT, target).json(&body).send().await
    }
    async fn patch(&self, target: &str, body: Value) -> Answer {
        self.call(Method::PATCH, target).json(&body).send().await
    }
    async fn delete(&self, target: &str) -> Answer {
        self.call(Method::DELETE, target).send().await
    }

    /// What the audit log is told of next.
    async fn told(&self) -> AdminEvent {
        let telling = async { self.told.lock().await.recv().await };
        timeout(PATIENCE, telling).await.expect("an event").unwrap()
    }

    /// Whether the audit log was told nothing.
    async fn told_nothing(&self) -> bool {
        self.told.lock().await.is_empty()
    }

    /// How many commits there are.
    fn commits(&self) -> usize {
        self.log.contents().len()
    }

    /// Makes a node a member that serves the present revision.
    fn join(&self, node: &str) -> NodeId {
        self.join_reading(node, READER_LEVEL)
    }

    /// The same, with a node that reads commits of this level at most.
    fn join_reading(&self, node: &str, reader_level: u32) -> NodeId {
        let node: NodeId = node.parse().unwrap();
        let view = self.journal.view();
        self.members.heard(Heartbeat {
            node: node.clone(),
            boot: "boot".parse().unwrap(),
            version: "1.2.3".to_owned(),
            reader_level,
            position: Position {
                generation: view.generation(),
                revision: view.revision(),
                chain: Chain::ZERO,
                state_hash: "1:0".to_owned(),
            },
            status: NodeStatus::Serving,
            started_at: Timestamp::from_millis(0).unwrap(),
            at: Timestamp::from_millis(0).unwrap(),
            proxy: None,
            requests_per_second: 0,
        });
        node
    }
}

/// A request in the making.
struct Call<'a> {
    api: &'a Api,
    request: http::request::Builder,
    body: Bytes,
}

impl Call<'_> {
    fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }
    fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
    fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }
    /// With this token instead of the right one; `None`: with none at all.
    fn token(mut self, token: Option<&str>) -> Self {
        let headers = self.request.headers_mut().unwrap();
        headers.remove(header::AUTHORIZATION);
        headers.extend(token.map(|token| (header::AUTHORIZATION, token.parse().unwrap())));
        self
    }
    async fn send(self) -> Answer {
        let request = self.request.body(Full::new(self.body)).unwrap();
        let answering = async {
            let mut connection = Connection::open(self.api.addr).await.unwrap();
            connection.send(request).await.unwrap()
        };
        timeout(PATIENCE, answering).await.expect("an answer")
    }
}

impl Answer {
    /// Expects a status.
    #[track_caller]
    fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Expects a problem of this status and kind, in the full form.
    #[track_caller]
    fn problem(self, status: u16, code: &str) -> Value {
        let answer = self.is(status);
        let problem = answer.json();
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["correlation_id"], answer.header("x-correlation-id"));
        assert!(
            problem["title"].is_string() && problem["instance"].is_string(),
            "{problem}"
        );
        assert_eq!(status == 503, answer.headers.contains_key("retry-after"));
        problem
    }

    /// A header that must be there.
    #[track_caller]
    fn header(&self, name: &str) -> String {
        let value = self.headers.get(name).expect(name);
        value.to_str().unwrap().to_owned()
    }

    fn revision(&self) -> u64 {
        self.header("flexgate-revision").parse().unwrap()
    }
}

impl Drop for Api {
    /// The tasks of one test do not outlive it.
    fn drop(&mut self) {
        let tasks = self.tasks.clone();
        let _ends = futures_util::FutureExt::now_or_never(async move { tasks.stop(PATIENCE).await });
    }
}

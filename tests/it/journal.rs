//! The journal's contract: one suite, which the log in memory and the one on JetStream both pass.

use std::{future::Future, sync::Arc};

use flexgate::{
    domain::{Command, Refusal},
    drain::Tasks,
    journal::{
        Fold, Journal, Options, Serve, Status, TransactError, Transaction, View,
        alerts::Alerts,
        jetstream::{JetStreamLog, Link, Names, streams},
        memory::MemoryLog,
        store::{AppendError, Head, Outgoing, Record, Store, Subscription as _},
    },
};
use flexgate_schemas::{Alert, Route, RouteId};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::fixtures::{self, Nats, PATIENCE};

mod journals;
mod parts;
mod snapshots;
mod stores;

/// A log, and what can go wrong with it.
pub trait Faulty {
    type Store: Store;
    fn start() -> impl Future<Output = Self>;
    fn store(&self) -> Self::Store;
    /// The server dies without warning. What was acknowledged is still there when it is back.
    fn kill(&mut self) -> impl Future<Output = ()>;
    fn revive(&mut self) -> impl Future<Output = ()>;
    /// The server stops answering without closing a connection, and goes on later.
    fn freeze(&mut self);
    fn thaw(&mut self);
    /// The server forgets who was reading.
    fn forget_readers(&mut self) -> impl Future<Output = ()>;
    /// The log is lost and made anew with these records.
    fn recreate(&mut self, records: Vec<Record>) -> impl Future<Output = ()>;
}

/// The log in memory.
pub struct InMemory(MemoryLog);

impl Faulty for InMemory {
    type Store = MemoryLog;
    async fn start() -> Self {
        Self(MemoryLog::new())
    }
    fn store(&self) -> MemoryLog {
        self.0.clone()
    }
    async fn kill(&mut self) {
        self.0.set_reachable(false);
    }
    async fn revive(&mut self) {
        self.0.set_reachable(true);
    }
    fn freeze(&mut self) {
        self.0.set_reachable(false);
    }
    fn thaw(&mut self) {
        self.0.set_reachable(true);
    }
    async fn forget_readers(&mut self) {
        self.0.replace(self.0.contents());
    }
    async fn recreate(&mut self, records: Vec<Record>) {
        self.0.replace(records);
    }
}

/// The log on a JetStream server of its own.
pub struct OnJetStream {
    nats: Nats,
    link: Link,
    names: Names,
}

impl Faulty for OnJetStream {
    type Store = JetStreamLog;
    async fn start() -> Self {
        let (nats, names) = (Nats::start().await, fixtures::names());
        let link = fixtures::provisioned(nats.server.url(), &names).await;
        Self { nats, link, names }
    }
    fn store(&self) -> JetStreamLog {
        JetStreamLog::new(self.link.clone(), &self.names)
    }
    async fn kill(&mut self) {
        self.nats.server.kill9();
        self.link.disconnected().await;
    }
    async fn revive(&mut self) {
        self.nats.server.restart().await.unwrap();
        self.link.connected().await;
    }
    fn freeze(&mut self) {
        self.nats.server.freeze();
    }
    fn thaw(&mut self) {
        self.nats.server.thaw();
    }
    async fn forget_readers(&mut self) {
        use futures_util::TryStreamExt as _;
        let stream = self
            .link
            .jetstream()
            .get_stream(self.names.config())
            .await
            .unwrap();
        let consumers: Vec<String> = stream.consumer_names().try_collect().await.unwrap();
        assert!(!consumers.is_empty(), "somebody reads");
        for consumer in consumers {
            stream.delete_consumer(&consumer).await.unwrap();
        }
    }
    async fn recreate(&mut self, records: Vec<Record>) {
        self.link
            .jetstream()
            .delete_stream(self.names.config())
            .await
            .unwrap();
        streams::provision(&self.link, &self.names, 1).await.unwrap();
        for record in records {
            let message = Outgoing {
                subject: record.subject.to_string(),
                id: format!("restored-{}", record.sequence),
                headers: Vec::new(),
                payload: record.payload,
            };
            self.store().append(&message, record.sequence - 1).await.unwrap();
        }
    }
}

/// Runs each test of the suite against both stores.
macro_rules! for_every_store {
    ($($test:ident)*) => {
        mod in_memory {
            $(#[tokio::test] async fn $test() { super::$test::<crate::journal::InMemory>().await; })*
        }
        mod on_jetstream {
            $(#[tokio::test] async fn $test() { super::$test::<crate::journal::OnJetStream>().await; })*
        }
    };
}
use for_every_store;

/// A journal over a store, its alerts, and the tasks that keep it going.
struct Running {
    journal: Journal,
    alerts: mpsc::Receiver<Alert>,
    tasks: Tasks,
}

fn writer<S: Store>(store: S) -> Running {
    writer_with(store, None, Box::new(|_, _| {}))
}

fn writer_with<S: Store>(store: S, snapshot: Option<Fold>, serve: Serve) -> Running {
    let (alerts, raised) = Alerts::channel("test-node".parse().unwrap());
    let (_, readers) = watch::channel(None);
    let options = Options {
        store,
        snapshot,
        serve,
        alerts,
        writer: Some(readers),
    };
    let tasks = Tasks::new();
    Running {
        journal: Journal::start(options, &tasks),
        alerts: raised,
        tasks,
    }
}

impl Running {
    async fn view(&self, what: &str, wanted: impl FnMut(&Arc<View>) -> bool) -> Arc<View> {
        let mut view = self.journal.watch();
        let found = timeout(PATIENCE, view.wait_for(wanted)).await;
        found
            .unwrap_or_else(|_| panic!("never {what}: {:?}", self.journal.view().status))
            .unwrap()
            .clone()
    }

    async fn ready(&self) -> Arc<View> {
        self.view("ready", |view| {
            view.generation() > 0 && view.status == Status::Following
        })
        .await
    }

    async fn frozen(&self) -> Arc<View> {
        self.view("frozen", |view| matches!(view.status, Status::Frozen { .. }))
            .await
    }

    async fn create(&self, id: &str) -> Result<u64, TransactError> {
        self.journal
            .transact(creation(id))
            .await
            .map(|committed| committed.revision)
    }

    fn has(&self, id: &str) -> bool {
        self.journal.view().state().route(&route_id(id)).is_some()
    }
}

fn route_id(id: &str) -> RouteId {
    id.parse().unwrap()
}

fn creation(id: &str) -> Transaction {
    let path = format!("/{id}").parse().unwrap();
    let route = Route::new(route_id(id), path, "http://localhost:1".parse().unwrap());
    fixtures::transaction(Command::CreateRoute(route))
}

async fn contents<S: Store>(store: &S) -> Vec<Record> {
    let mut records = Vec::new();
    for sequence in 1..=store.head().await.unwrap().last {
        records.extend(store.read(sequence).await.unwrap());
    }
    records
}

//! The read models: what happened in the log is in the tables, once, whatever dies meanwhile.

pub mod admin_events;
pub mod alerts;
mod analytics;
mod audit;
mod configuration;
pub mod rebuild;
mod replay;
mod schema;
mod service;
mod stops;
mod streams;

use std::sync::Arc;

use flexgate::{
    app::projector,
    domain::Command,
    drain::Tasks,
    health::{Health, Readiness, Verdict},
    journal::{
        Journal, Options, Serve, Status,
        alerts::Alerts,
        memory::MemoryLog,
        store::{Outgoing, Store as _},
    },
};
use flexgate_schemas::{Alert, Chain, Commit, Event, Route, alert::AlertKind, event::HistoryStarted};
use futures_util::StreamExt as _;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::fixtures::{self, PATIENCE};

const SEQUENCE: &str =
    "SELECT sequence::text FROM flexgate.projection_checkpoint WHERE projection = 'config'";

/// A log in memory, and a process that writes to it.
struct Cluster {
    log: MemoryLog,
    journal: Journal,
}

impl Cluster {
    async fn begin() -> Self {
        Self::on(MemoryLog::new()).await
    }

    /// A process that knows nothing but this log.
    async fn on(log: MemoryLog) -> Self {
        Self::serving(log, Box::new(|_, _| {})).await
    }

    /// The same, with something to be done for each new state before anybody is told of it.
    async fn serving(log: MemoryLog, serve: Serve) -> Self {
        let (_, readers) = watch::channel(None);
        let options = Options {
            store: log.clone(),
            snapshot: None,
            serve,
            alerts: Alerts::channel("test-node".parse().unwrap()).0,
            writer: Some(readers),
        };
        let journal = Journal::start(options, &Tasks::new());
        following(&journal, async {}).await;
        Self { log, journal }
    }

    /// A history that takes the place of this one.
    async fn fork(&self) -> Self {
        let log = MemoryLog::new();
        let genesis = Commit {
            generation: 2,
            events: Arc::new([Event::HistoryStarted(HistoryStarted {
                reason: "a fork".to_owned(),
            })]),
            ..(*self.first_commit().await).clone()
        };
        log.append(&outgoing(&genesis), 0).await.unwrap();
        Self::on(log).await
    }

    async fn execute(&self, command: Command) -> u64 {
        self.journal
            .transact(fixtures::transaction(command))
            .await
            .unwrap()
            .revision
    }

    async fn create_routes<const N: usize>(&self, ids: [&str; N]) {
        for id in ids {
            self.execute(Command::CreateRoute(route(id, &format!("/{id}"))))
                .await;
        }
    }

    async fn first_commit(&self) -> Arc<Commit> {
        let mut commits = self.journal.follow(0).await.unwrap();
        commits.next().await.unwrap().commit
    }

    fn project_into(&self, url: &str) -> Running {
        let (health, tasks) = (Health::new("test"), Tasks::new());
        let (alerts, raised) = Alerts::channel("test-node".parse().unwrap());
        tasks.spawn(projector::keep_configuration(
            url.to_owned(),
            self.journal.clone(),
            alerts,
            health.clone(),
            tasks.clone(),
        ));
        Running {
            health,
            tasks,
            raised,
        }
    }

    /// The answer of a query as soon as everything has been projected.
    async fn rows(&self, url: &str, sql: &str) -> Vec<String> {
        reached(url, self.journal.view().revision(), sql).await
    }
}

/// A projector that runs.
struct Running {
    health: Health,
    tasks: Tasks,
    raised: mpsc::Receiver<Alert>,
}

impl Running {
    /// Waits until the health of its process says so.
    async fn shows(&self, verdict: Verdict) -> Readiness {
        let shown = async {
            while self.health.readiness().checks.projections != verdict {
                tokio::time::sleep(fixtures::LOOK_AGAIN).await;
            }
        };
        let outcome = timeout(PATIENCE, shown).await;
        assert!(outcome.is_ok(), "never {verdict:?}: {:?}", self.health);
        self.health.readiness()
    }

    /// The next alert that it raises.
    async fn raises(&mut self) -> AlertKind {
        let raised = timeout(PATIENCE, self.raised.recv()).await;
        raised.expect("an alert").unwrap().kind
    }

    async fn stop(self) {
        assert!(self.tasks.stop(PATIENCE).await);
    }
}

/// Waits until a journal follows its log, then for something else.
async fn following<T>(journal: &Journal, then: impl Future<Output = T>) -> T {
    let mut view = journal.watch();
    let ready = view.wait_for(|view| view.generation() > 0 && view.status == Status::Following);
    assert!(timeout(PATIENCE, ready).await.expect("to be ready").is_ok());
    then.await
}

fn route(id: &str, path: &str) -> Route {
    let upstream = "http://localhost:1".parse().unwrap();
    Route::new(id.parse().unwrap(), path.parse().unwrap(), upstream)
}

fn outgoing(commit: &Commit) -> Outgoing {
    assert_eq!(commit.parent, Chain::ZERO);
    Outgoing {
        subject: commit.subject(),
        id: commit.id.to_string(),
        headers: Vec::new(),
        payload: commit.to_payload().into(),
    }
}

/// The answer of a query as soon as the checkpoint is at a revision.
async fn reached(url: &str, revision: u64, sql: &str) -> Vec<String> {
    let there = async {
        while try_query(url, SEQUENCE).await.ok() != Some(vec![revision.to_string()]) {
            tokio::time::sleep(fixtures::LOOK_AGAIN).await;
        }
    };
    assert!(timeout(PATIENCE, there).await.is_ok(), "never at {revision}");
    query(url, sql).await
}

async fn query(url: &str, sql: &str) -> Vec<String> {
    try_query(url, sql).await.unwrap()
}

async fn try_query(url: &str, sql: &str) -> Result<Vec<String>, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let rows = sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_all(&mut connection)
        .await?;
    connection.close().await?;
    Ok(rows)
}

async fn execute(url: &str, sql: &'static str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute(sql).await.unwrap();
}

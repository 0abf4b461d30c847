//! Looking after the servers that this process uses, for `/health/ready`. None of them is needed to serve requests.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use super::Endpoints;
use crate::{
    drain::Tasks,
    health::{Check, Dependency, Health},
    journal::jetstream::Link,
};

/// How often each is asked.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Reports on every server until the tasks are stopped.
pub(super) fn watch(health: &Health, endpoints: &Endpoints, link: &Link, tasks: &Tasks) {
    tasks.spawn(watch_nats(health.clone(), link.clone(), tasks.clone()));
    if let Some(url) = endpoints.database.clone() {
        tasks.spawn(ask(
            health.clone(),
            Dependency::Database,
            tasks.clone(),
            move || ask_postgres(url.clone()),
        ));
    }
    if let Some(url) = endpoints.redis.clone() {
        tasks.spawn(ask(health.clone(), Dependency::Redis, tasks.clone(), move || {
            ask_redis(url.clone())
        }));
    }
}

async fn watch_nats(health: Health, link: Link, tasks: Tasks) {
    let watching = async {
        loop {
            link.connected().await;
            health.report(Dependency::Jetstream, Check::Up);
            link.disconnected().await;
            health.report(Dependency::Jetstream, Check::Down("not connected".into()));
        }
    };
    health.report(Dependency::Jetstream, Check::Down("not connected yet".into()));
    tasks.unless_stopped(watching).await;
}

async fn ask<F: Future<Output = Result<(), String>>>(
    health: Health,
    dependency: Dependency,
    tasks: Tasks,
    question: impl Fn() -> F,
) {
    let asking = async {
        loop {
            let check = match timeout(ANSWER_WITHIN, question()).await {
                Ok(Ok(())) => Check::Up,
                Ok(Err(reason)) => Check::Down(reason.into()),
                Err(_) => Check::Down("no answer in time".into()),
            };
            health.report(dependency, check);
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    tasks.unless_stopped(asking).await;
}

/// The reasons are constant: the errors of these clients may repeat parts of the URL.
async fn ask_postgres(url: String) -> Result<(), String> {
    let mut connection = PgConnection::connect(&url)
        .await
        .map_err(|_| "no connection".to_owned())?;
    connection.ping().await.map_err(|_| "no answer".to_owned())?;
    connection.close().await.map_err(|_| "no goodbye".to_owned())
}

async fn ask_redis(url: String) -> Result<(), String> {
    let client = redis::Client::open(url).map_err(|_| "not the URL of a Redis".to_owned())?;
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .map_err(|_| "no connection".to_owned())?;
    redis::cmd("PING")
        .query_async::<String>(&mut connection)
        .await
        .map(drop)
        .map_err(|_| "no answer".to_owned())
}

//! The development servers as one stack: how it starts, degrades, refuses and stops.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod fixture;
mod lifetime;
mod server;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use flexgate::devstack::{Binaries, Devstack, DevstackError, Plan};
use flexgate::journal::jetstream::login;
use sqlx::{Connection, PgConnection};

use fixture::*;

#[tokio::test]
async fn all_three_start_and_answer_in_their_protocols() {
    let folder = open_folder();
    let stack = Devstack::start(plan(folder.path())).await.unwrap();
    assert_eq!(stack.degraded(), &[] as &[String]);

    assert!(jetstream_api_level(stack.nats_url()).await >= 2);
    assert_eq!(postgres_answer(stack.database_url().unwrap()).await, 42);
    assert_eq!(redis_answer(stack.redis_url().unwrap()).await, "PONG");

    let pids = children(folder.path());
    assert_eq!(pids.len(), 3);
    stack.stop().await;
    assert!(pids.iter().all(|&pid| !runs(pid)), "stop left something running");
    assert_eq!(children(folder.path()), [], "stop left a record");
}

#[tokio::test]
async fn all_three_start_below_a_folder_that_only_its_owner_may_enter() {
    let folder = closed_folder();
    let stack = Devstack::start(plan(&folder.path().join("home/project/.flexgate")))
        .await
        .unwrap();
    assert_eq!(stack.degraded(), &[] as &[String]);
    assert_eq!(postgres_answer(stack.database_url().unwrap()).await, 42);
    stack.stop().await;
}

#[tokio::test]
async fn nothing_answers_without_the_password() {
    let folder = open_folder();
    let stack = Devstack::start(plan(folder.path())).await.unwrap();
    let password = fs::read_to_string(folder.path().join("password")).unwrap();
    let wrong = |url: &str| url.replace(&password, "wrong");

    assert!(
        login(&wrong(stack.nats_url()))
            .connect(stack.nats_url())
            .await
            .is_err()
    );
    assert!(
        PgConnection::connect(&wrong(stack.database_url().unwrap()))
            .await
            .is_err()
    );
    let redis = redis::Client::open(wrong(stack.redis_url().unwrap())).unwrap();
    assert!(redis.get_multiplexed_async_connection().await.is_err());

    for private in ["password", "nats/nats.conf", "valkey/valkey.conf"] {
        let mode = fs::metadata(folder.path().join(private))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{private} is open to others");
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_second_start_is_refused_and_names_the_holder() {
    let folder = open_folder();
    let stack = Devstack::start(nats_only(folder.path())).await.unwrap();

    let refusal = Devstack::start(nats_only(folder.path())).await.unwrap_err();
    assert!(matches!(refusal, DevstackError::InUse { .. }));
    assert!(
        refusal
            .to_string()
            .contains(&format!("process {}", std::process::id())),
        "{refusal}"
    );

    assert!(
        jetstream_api_level(stack.nats_url()).await >= 2,
        "the first run was disturbed"
    );
    stack.stop().await;
}

#[tokio::test]
async fn a_restart_keeps_ports_and_data() {
    let folder = open_folder();
    let first = Devstack::start(plan(folder.path())).await.unwrap();
    let urls = |stack: &Devstack| {
        [
            stack.nats_url(),
            stack.database_url().unwrap(),
            stack.redis_url().unwrap(),
        ]
        .map(str::to_owned)
    };
    let before = urls(&first);
    store_one_message(first.nats_url()).await;
    let mut database = PgConnection::connect(first.database_url().unwrap())
        .await
        .unwrap();
    sqlx::query("CREATE TABLE kept (n int)")
        .execute(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    first.stop().await;

    let second = Devstack::start(plan(folder.path())).await.unwrap();
    assert_eq!(urls(&second), before);
    assert_eq!(stored_messages(second.nats_url()).await, 1);
    let mut database = PgConnection::connect(second.database_url().unwrap())
        .await
        .unwrap();
    sqlx::query("SELECT n FROM kept")
        .execute(&mut database)
        .await
        .unwrap();
    second.stop().await;
}

#[tokio::test]
async fn a_missing_optional_server_costs_one_line_each_that_says_what_to_do() {
    let folder = open_folder();
    let nowhere = Some(PathBuf::from("/no/such/file"));
    let binaries = Binaries {
        postgres: nowhere.clone(),
        valkey: nowhere,
        ..binaries()
    };
    let stack = Devstack::start(Plan {
        binaries,
        ..plan(folder.path())
    })
    .await
    .unwrap();

    assert!(jetstream_api_level(stack.nats_url()).await >= 2);
    assert_eq!((stack.database_url(), stack.redis_url()), (None, None));
    let [postgres, redis] = stack.degraded() else {
        panic!("{:?}", stack.degraded())
    };
    assert!(
        postgres.contains("history, audit and reports are off"),
        "{postgres}"
    );
    assert!(postgres.contains("FLEXGATE_POSTGRES_BIN"), "{postgres}");
    assert!(redis.contains("rate limits count per node"), "{redis}");
    assert!(redis.contains("FLEXGATE_VALKEY_BIN"), "{redis}");
    assert!(stack.degraded().iter().all(|line| line.lines().count() == 1));
    stack.stop().await;
}

#[tokio::test]
async fn given_servers_are_used_and_left_alone() {
    let folder = open_folder();
    let mut elsewhere = own_nats(folder.path()).await;
    let given = Plan {
        nats: Some(elsewhere.url().to_owned()),
        ..nats_only(&folder.path().join("up"))
    };
    let stack = Devstack::start(given).await.unwrap();
    assert_eq!(stack.nats_url(), elsewhere.url());
    stack.stop().await;
    assert!(jetstream_api_level(elsewhere.url()).await >= 2);
    elsewhere.kill9();
}

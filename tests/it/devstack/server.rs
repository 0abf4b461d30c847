//! One server: killed, frozen, started again.

use std::time::Duration;

use flexgate::devstack::{Durability, Server, ServerOptions};
use flexgate::journal::jetstream::login;
use sqlx::{Connection, PgConnection};

use super::fixture::*;

#[tokio::test]
async fn a_server_that_ends_at_its_start_shows_the_end_of_its_log() {
    let folder = open_folder();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let options = ServerOptions {
        data_dir: folder.path().to_owned(),
        binary: binaries().nats().await.unwrap(),
        port: Some(port.local_addr().unwrap().port()),
        durability: Durability::Test,
    };
    let error = Server::nats(options).await.unwrap_err().to_string();
    assert!(error.contains("address already in use"), "{error}");
    assert!(error.contains("nats.log"), "{error}");
}

#[tokio::test]
async fn a_killed_server_comes_back_on_its_port_with_its_data() {
    let folder = open_folder();
    let mut nats = own_nats(folder.path()).await;
    store_one_message(nats.url()).await;
    let (pid, port) = (nats.pid(), nats.port());

    nats.kill9();
    assert!(login(nats.url()).connect(nats.url()).await.is_err());
    nats.restart().await.unwrap();

    assert_eq!(nats.port(), port);
    assert_ne!(nats.pid(), pid);
    assert_eq!(stored_messages(nats.url()).await, 1);
    nats.stop().await;
}

#[tokio::test]
async fn a_frozen_server_is_silent_until_it_is_thawed() {
    let folder = open_folder();
    let mut nats = own_nats(folder.path()).await;
    nats.freeze();
    let silent = tokio::time::timeout(Duration::from_millis(200), jetstream_api_level(nats.url())).await;
    assert!(silent.is_err());
    nats.thaw();
    assert!(jetstream_api_level(nats.url()).await >= 2);
    nats.freeze();
    nats.stop().await;
    assert_eq!(children(folder.path()), []);
}

#[tokio::test]
async fn a_killed_database_comes_back_though_sessions_were_open() {
    let folder = open_folder();
    let binary = binaries().postgres().await.unwrap();
    let data_dir = folder.path().to_owned();
    let options = ServerOptions {
        data_dir,
        binary,
        port: None,
        durability: Durability::Test,
    };
    let mut postgres = Server::postgres(options).await.unwrap();
    let _session = PgConnection::connect(postgres.url()).await.unwrap();

    postgres.kill9();
    postgres.restart().await.unwrap();

    assert_eq!(postgres_answer(postgres.url()).await, 42);
    postgres.stop().await;
}

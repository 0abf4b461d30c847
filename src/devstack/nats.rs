//! NATS with JetStream, the system of record.

use std::fs;
use std::time::Duration;

use async_nats::jetstream;
use serde_json::json;

use super::error::{self, DevstackError};
use super::launch::{Launch, Protocol};
use super::server::ServerOptions;
use super::{Durability, password};
use crate::journal::jetstream::login;

/// Writes the server's configuration, which is JSON with room for less.
pub(super) fn launch(options: &ServerOptions) -> Result<Launch, DevstackError> {
    let home = options.data_dir.join("nats");
    fs::create_dir_all(&home).map_err(error::io("create", &home))?;
    let port = options.port()?;
    let password = password::read_or_create(&options.data_dir)?;

    let mut store = json!({ "store_dir": home });
    match options.durability {
        // By default the server acknowledges first and syncs up to two minutes later.
        Durability::Safe => store["sync_interval"] = "always".into(),
        // The limits of a stream are set aside in advance, and tests make many streams that stay almost empty.
        Durability::Test => store["max_file_store"] = (1_u64 << 46).into(),
    }
    let configuration = json!({
        "server_name": "flexgate",
        "listen": format!("127.0.0.1:{port}"),
        "max_payload": 1 << 20,
        "jetstream": store,
        "authorization": { "user": password::USER, "password": password },
    });
    let file = home.join("nats.conf");
    password::write_private(&file, &format!("{configuration:#}\n"))?;

    Ok(Launch {
        protocol: Protocol::Nats,
        data_dir: options.data_dir.clone(),
        port,
        url: url(&password, port),
        account: &[],
        program: options.binary.clone(),
        arguments: vec!["--config".into(), file.into()],
        scratch: None,
    })
}

/// Where the server is, for who knows its password.
pub(super) fn url(password: &str, port: u16) -> String {
    format!("nats://{}:{password}@127.0.0.1:{port}", password::USER)
}

/// JetStream comes up with the server, but an account without it is as good as no server.
pub(super) async fn greet(url: &str) -> Result<(), String> {
    let login = login(url)
        .connection_timeout(Duration::from_secs(1))
        .max_reconnects(1);
    let client = login.connect(url).await.map_err(|error| error.to_string())?;
    jetstream::new(client)
        .query_account()
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}

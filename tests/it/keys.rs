//! Keys in whole processes: from the command line to the tables, and nowhere a secret.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Output},
};

use flexgate::journal::jetstream::Names;
use flexgate_schemas::key::{KeyId, SecretHash, secret};
use http::Method;
use serde_json::{Value, json};

use crate::{
    fixtures::{self, Nats, Postgres},
    outcomes::database::reaches,
    program::{Program, Settings, TOKEN},
    upstream::Upstream,
    wire,
};

/// Runs the program against the admin API of a process.
fn flexgate(settings: &Settings, words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flexgate"))
        .args(words.split_whitespace())
        .env_clear()
        .env("FLEXGATE_ADMIN_TOKEN", TOKEN)
        .args(["--admin", &settings.admin.to_string()])
        .output()
        .unwrap()
}

#[track_caller]
fn said(settings: &Settings, words: &str) -> String {
    let done = flexgate(settings, words);
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{words}\n{stderr}");
    String::from_utf8(done.stdout).unwrap()
}

#[track_caller]
fn as_json(settings: &Settings, words: &str) -> Value {
    serde_json::from_str(&said(settings, &format!("{words} -o json"))).unwrap()
}

async fn settings(roles: &str, data: &Path) -> Settings {
    let (nats, prefix) = (Nats::shared_url().await, fixtures::prefix());
    fixtures::provisioned(nats, &Names::new(&prefix).unwrap()).await;
    Settings::new(roles, data, (nats, &prefix))
}

async fn status(settings: &Settings, lines: &str) -> u16 {
    let mut client = wire::Client::connect(settings.proxy).await;
    client.get("/a", lines).await.status()
}

#[tokio::test]
async fn a_key_lives_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings("admin,gateway", folder.path()).await;
    let _running = settings.start();
    settings.api().await;
    let created = said(&settings, "keys create --name app --route orders --method GET");
    let secret = created.lines().next().unwrap().to_owned();
    let id = secret::claimed_id(secret.as_bytes()).unwrap();
    assert!(
        created.contains(&format!("key {id} created (revision ")),
        "{created}"
    );
    let key = as_json(&settings, &format!("keys get {id}"));
    assert_eq!(key["scopes"], json!({ "routes": ["orders"], "methods": ["GET"] }));
    assert_eq!(key.get("secret"), None);
    said(
        &settings,
        &format!("keys update {id} --name other --network 10.0.0.0/8"),
    );
    let listed = said(&settings, "keys list");
    assert!(listed.contains("other") && listed.contains("enabled"), "{listed}");
    let rotated = as_json(&settings, &format!("keys rotate {id} --overlap 24h"));
    assert_ne!(rotated["secret"], json!(secret));
    assert_eq!(rotated["previousUntil"].as_array().unwrap().len(), 1);
    said(&settings, &format!("keys revoke {id}"));
    assert!(said(&settings, "keys list").contains("revoked"));
    let refused = flexgate(&settings, &format!("keys rotate {id}"));
    assert_eq!(refused.status.code(), Some(5), "a conflict");
    said(&settings, &format!("keys delete {id}"));
    assert_eq!(as_json(&settings, "keys list"), json!([]));
    assert_eq!(
        flexgate(&settings, &format!("keys get {id}")).status.code(),
        Some(6)
    );
}

/// A process whose log, in every detail, is kept.
fn started(settings: &Settings, log: &Path) -> Program {
    let file = File::create(log).unwrap();
    let mut command = settings.command();
    command.stdout(file.try_clone().unwrap()).stderr(file);
    Program(command.spawn().unwrap())
}

#[tokio::test]
async fn what_a_key_is_used_for_is_in_the_tables_and_its_secret_is_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let database = Postgres::database().await;
    let settings = settings("admin,gateway,projector", folder.path())
        .await
        .with("DATABASE_URL", &database)
        .with("FLEXGATE_LOG", "trace");
    let log = folder.path().join("log");
    let running = started(&settings, &log);
    let upstream = Upstream::replying(200).start().await;
    let api = settings.api().await;
    let route = json!({ "id": "a", "path": "/a", "upstream": upstream.url(), "auth": "required" });
    api.call(Method::POST, "/api/routes", Some(route)).await;
    let known = SecretHash::of(b"correct horse battery staple");
    let apply = json!({ "keys": [{ "key": known, "name": "old" }] });
    api.call(Method::POST, "/api/config/apply", Some(apply)).await;
    let created = api
        .call(Method::POST, "/api/keys", Some(json!({ "name": "app" })))
        .await
        .json();
    let address = format!("/api/keys/{}", created["id"].as_str().unwrap());
    let rotation = Some(json!({ "overlap": "1h" }));
    let rotated = api
        .call(Method::POST, &format!("{address}/rotate"), rotation)
        .await
        .json();
    let secrets = [&created, &rotated].map(|answer| answer["secret"].as_str().unwrap().to_owned());
    let guess = secret::made_of(KeyId::made_of(&[7; 32]), &[7; 32]);

    for secret in &secrets {
        assert_eq!(status(&settings, &format!("x-api-key: {secret}\r\n")).await, 200);
        let bearer = format!("authorization: Bearer {secret}\r\n");
        assert_eq!(status(&settings, &bearer).await, 200);
    }
    let theirs = "x-api-key: correct horse battery staple\r\n";
    assert_eq!(status(&settings, theirs).await, 200);
    assert_eq!(status(&settings, &format!("x-api-key: {guess}\r\n")).await, 401);
    assert_eq!(status(&settings, "").await, 401);
    api.call(Method::POST, &format!("{address}/revoke"), None).await;
    assert_eq!(
        status(&settings, &format!("x-api-key: {}\r\n", secrets[1])).await,
        401
    );

    reaches(
        &database,
        "SELECT coalesce(sum(requests), 0)::bigint FROM flexgate.usage_hourly",
        6,
    )
    .await;
    reaches(
        &database,
        "SELECT requests FROM flexgate.usage_hourly ORDER BY requests DESC LIMIT 1",
        5,
    )
    .await;
    reaches(
        &database,
        "SELECT count(*) FROM flexgate.requests WHERE refused = 'key_inactive' AND api_key IS NOT NULL",
        1,
    )
    .await;
    reaches(
        &database,
        "SELECT count(*) FROM flexgate.requests WHERE refused = 'invalid_credential' AND api_key IS NULL",
        1,
    )
    .await;

    let metrics = api.call(Method::GET, "/metrics", None).await.body;
    let nodes = api.call(Method::GET, "/api/nodes", None).await.body;
    drop(running);
    let logged = fs::read(&log).unwrap();
    assert!(logged.len() > 10_000, "it is told everything");
    let hash = |secret: &str| {
        let hash = serde_json::to_value(SecretHash::of(secret.as_bytes())).unwrap();
        hash.as_str().unwrap().to_owned()
    };
    let known = "correct horse battery staple".to_owned();
    let all = secrets
        .iter()
        .chain([&guess, &known])
        .flat_map(|secret| [secret.clone(), hash(secret)]);
    for secret in all {
        for (place, text) in [
            ("log", &logged[..]),
            ("metrics", &metrics[..]),
            ("nodes", &nodes[..]),
        ] {
            let found = text
                .windows(secret.len())
                .position(|bytes| bytes == secret.as_bytes());
            let around =
                found.map(|at| String::from_utf8_lossy(&text[at.saturating_sub(300)..at]).into_owned());
            assert_eq!(around, None, "{place}");
        }
    }
}

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
use tempfile::TempDir;

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

/// A process that has seen keys come, go and be tried out, and told its log every detail of it.
struct Story {
    settings: Settings,
    running: Program,
    database: String,
    folder: TempDir,
    /// What clients sent.
    secrets: Vec<String>,
}

impl Story {
    async fn lived() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Postgres::database().await;
        let settings = settings("admin,gateway,projector", folder.path())
            .await
            .with("DATABASE_URL", &database)
            .with("FLEXGATE_LOG", "trace");
        let running = started(&settings, &folder.path().join("log"));
        let upstream = Upstream::replying(200).start().await;
        let api = settings.api().await;
        let post = async |path: &str, body: Value| {
            let answer = api.call(Method::POST, path, Some(body)).await;
            assert!(answer.status.is_success(), "{answer:?}");
            answer.json()
        };
        let route = json!({ "id": "a", "path": "/a", "upstream": upstream.url(), "auth": "required" });
        post("/api/routes", route).await;
        let chosen = "correct horse battery staple";
        let hash = SecretHash::of(chosen.as_bytes());
        post(
            "/api/config/apply",
            json!({ "keys": [{ "key": hash, "name": "old" }] }),
        )
        .await;
        let created = post("/api/keys", json!({ "name": "app" })).await;
        let address = format!("/api/keys/{}", created["id"].as_str().unwrap());
        let rotated = post(&format!("{address}/rotate"), json!({ "overlap": "1h" })).await;
        let [first, second] =
            [&created, &rotated].map(|answer| answer["secret"].as_str().unwrap().to_owned());
        let guess = secret::made_of(KeyId::made_of(&[7; 32]), &[7; 32]);

        for secret in [&first, &second] {
            let key = format!("x-api-key: {secret}\r\n");
            let bearer = format!("authorization: Bearer {secret}\r\n");
            assert_eq!(
                (status(&settings, &key).await, status(&settings, &bearer).await),
                (200, 200)
            );
        }
        assert_eq!(status(&settings, &format!("x-api-key: {chosen}\r\n")).await, 200);
        assert_eq!(status(&settings, &format!("x-api-key: {guess}\r\n")).await, 401);
        assert_eq!(status(&settings, "").await, 401);
        post(&format!("{address}/revoke"), json!({})).await;
        assert_eq!(status(&settings, &format!("x-api-key: {second}\r\n")).await, 401);
        Self {
            settings,
            running,
            database,
            folder,
            secrets: vec![first, second, guess, chosen.to_owned()],
        }
    }
}

#[tokio::test]
async fn what_a_key_is_used_for_is_in_the_tables() {
    let story = Story::lived().await;
    for (sql, number) in [
        (
            "SELECT coalesce(sum(requests), 0)::bigint FROM flexgate.usage_hourly",
            6,
        ),
        (
            "SELECT requests FROM flexgate.usage_hourly ORDER BY requests DESC LIMIT 1",
            5,
        ),
        (
            "SELECT count(*) FROM flexgate.requests WHERE refused = 'key_inactive' AND api_key IS NOT NULL",
            1,
        ),
        (
            "SELECT count(*) FROM flexgate.requests WHERE refused = 'invalid_credential' AND api_key IS NULL",
            1,
        ),
    ] {
        reaches(&story.database, sql, number).await;
    }
}

#[tokio::test]
async fn no_secret_and_no_hash_of_one_is_in_a_log_line_a_metric_or_an_answer() {
    let story = Story::lived().await;
    let api = story.settings.api().await;
    let mut told = Vec::new();
    for path in ["/metrics", "/api/nodes", "/api/status", "/api/keys"] {
        told.push((path, api.call(Method::GET, path, None).await.body.to_vec()));
    }
    drop(story.running);
    let log = fs::read(story.folder.path().join("log")).unwrap();
    assert!(log.len() > 10_000, "it is told everything");
    told.push(("the log", log));
    let hash = |secret: &String| {
        let hash = serde_json::to_value(SecretHash::of(secret.as_bytes())).unwrap();
        hash.as_str().unwrap().to_owned()
    };
    for secret in story
        .secrets
        .iter()
        .flat_map(|secret| [secret.clone(), hash(secret)])
    {
        for (place, text) in &told {
            let found = text
                .windows(secret.len())
                .position(|bytes| bytes == secret.as_bytes());
            let before = |at: usize| String::from_utf8_lossy(&text[at.saturating_sub(300)..at]).into_owned();
            assert_eq!(found.map(before), None, "{place}");
        }
    }
}

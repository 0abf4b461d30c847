//! Keys in whole processes: from the command line to the tables.

mod leaks;

use std::{
    fs::File,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use flexgate::{journal::jetstream::Names, sealing::SealingKeys};
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
    flexgate_with(settings, words, "")
}

/// With this on standard input.
fn flexgate_with(settings: &Settings, words: &str, input: &str) -> Output {
    let mut run = Command::new(env!("CARGO_BIN_EXE_flexgate"))
        .args(words.split_whitespace())
        .env_clear()
        .env("FLEXGATE_ADMIN_TOKEN", TOKEN)
        .args(["--admin", &settings.admin.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let written = run.stdin.take().unwrap().write_all(input.as_bytes());
    drop(written); // whoever reads nothing may have gone
    run.wait_with_output().unwrap()
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

#[tokio::test]
async fn a_password_is_piped_in_and_opens_what_its_key_does() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings("admin,gateway", folder.path()).await;
    let _running = settings.start();
    let api = settings.api().await;
    let upstream = Upstream::replying(200).start().await;
    let route = json!({ "id": "a", "path": "/a", "upstream": upstream.url(), "auth": "required" });
    let made = api.call(Method::POST, "/api/routes", Some(route)).await;
    assert!(made.status.is_success(), "{made:?}");
    let run = |words: &str, password: &str| {
        let done = flexgate_with(&settings, &format!("{words} -o json"), password);
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{words}\n{stderr}");
        serde_json::from_slice::<Value>(&done.stdout).unwrap()
    };
    let key = run("keys create --name printer --username printer", "correct horse\n");
    assert_eq!(key["basic"], json!({ "username": "printer" }));
    let id = key["id"].as_str().unwrap();
    let tried = async |password: &str| status(&settings, &basic("printer", password)).await;
    assert_eq!((tried("correct horse").await, tried("guess").await), (200, 401));
    run(
        &format!("keys password {id}"),
        "battery staple\nwhat follows is nobody's\n",
    );
    assert_eq!(
        (tried("battery staple").await, tried("correct horse").await),
        (200, 401)
    );
    run(&format!("keys no-password {id}"), "");
    assert_eq!(tried("battery staple").await, 401);
    let refused = flexgate_with(&settings, "keys create --name b --username b", "short\n");
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
}

/// The field that has both.
fn basic(username: &str, password: &str) -> String {
    let both = STANDARD.encode(format!("{username}:{password}"));
    format!("authorization: Basic {both}\r\n")
}

/// A process whose log, in every detail, is kept.
fn started(settings: &Settings, log: &Path) -> Program {
    let file = File::create(log).unwrap();
    let mut command = settings.command();
    command.stdout(file.try_clone().unwrap()).stderr(file);
    Program(command.spawn().unwrap())
}

/// What a provider signs its tokens with.
const TOKEN_SECRET: &str = "of-a-provider-that-has-only-this-secret";

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
            .with("FLEXGATE_SECRET_KEY", SealingKeys::make().unwrap())
            .with("TOKEN_SECRET", TOKEN_SECRET)
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

//! The examples of the README, driven over HTTP: requests are answered as they promise.

use std::{fs, path::Path};

use flexgate::{devstack::free_port, journal::jetstream::Names};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;

use super::end;
use crate::{
    client::{self, Answer, Connection},
    fixtures::{self, Nats},
    program::{Program, Settings, listens},
    upstream::Upstream,
};

/// A node with an example as its file, in which these words were exchanged.
async fn with(folder: &Path, example: &str, words: &[(&str, &str)]) -> (Settings, Program) {
    let mut text = example.to_owned();
    for (before, after) in words {
        assert!(text.contains(before), "{before}");
        text = text.replace(before, after);
    }
    let nats = Nats::shared_url().await;
    let prefix = fixtures::prefix();
    fixtures::provisioned(nats, &Names::new(&prefix).unwrap()).await;
    let file = folder.join("proxy.yml");
    fs::write(&file, text).unwrap();
    let settings = Settings::new("admin,gateway", folder, (nats, &prefix));
    let settings = settings.with("FLEXGATE_CONFIG", file.display().to_string());
    let program = settings.start();
    listens(settings.proxy).await;
    (settings, program)
}

/// Asks until the file has been applied: before, nothing has a route.
async fn first_answer(settings: &Settings, path: &str) -> Answer {
    loop {
        let answer = client::get(settings.proxy, path).await;
        if answer.status != 404 {
            return answer;
        }
        tokio::time::sleep(fixtures::LOOK_AGAIN).await;
    }
}

async fn ask(settings: &Settings, path: &str, key: &str, body: &'static [u8]) -> Answer {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("host", "shop.test")
        .header("x-api-key", key)
        .body(Full::from(body))
        .unwrap();
    let mut connection = Connection::open(settings.proxy).await.unwrap();
    connection.send(request).await.unwrap()
}

#[tokio::test]
async fn the_minimal_example_sends_everything_to_its_backend() {
    let (folder, backend) = (
        tempfile::tempdir().unwrap(),
        Upstream::replying(200).start().await,
    );
    let example = include_str!("../../../config/minimal.yml");
    let words = [("http://localhost:8080", &*backend.url())];
    let (settings, program) = with(folder.path(), example, &words).await;
    let answer = first_answer(&settings, "/any/thing?at=all").await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"hello"[..]));
    assert_eq!(backend.seen()[0].target(), "/any/thing?at=all");
    end(program).await;
}

#[tokio::test]
async fn the_full_example_asks_for_keys_and_holds_its_limits() {
    let (folder, backend) = (
        tempfile::tempdir().unwrap(),
        Upstream::replying(200).start().await,
    );
    let url = backend.url();
    let nobody = format!("redis://127.0.0.1:{}", free_port().unwrap());
    let words = [
        ("https://api.primary.com", &*url),
        ("https://api.fallback.com", &url),
        ("redis://localhost:6379", &nobody),
    ];
    let (settings, program) = with(folder.path(), include_str!("../../../config/full.yml"), &words).await;

    let refused = first_answer(&settings, "/api/users/1").await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()["code"].as_str()),
        (401, Some("unauthorized"))
    );
    let api = settings.api().await;
    let created = api
        .call(Method::POST, "/api/keys", Some(json!({ "name": "shop" })))
        .await;
    assert_eq!(created.status, 201, "{created:?}");
    let secret = created.json()["secret"].as_str().unwrap().to_owned();
    let answer = ask(&settings, "/api/users/1", &secret, b"{}").await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"hello"[..]));
    let seen = backend.seen();
    assert!(
        seen[0].header("x-api-key").is_none(),
        "the key stays here: {:?}",
        seen[0]
    );

    assert_eq!(client::get(settings.proxy, "/api/other").await.status, 404);
    let long: &'static [u8] = vec![b'a'; (10 << 20) + 1].leak();
    assert_eq!(ask(&settings, "/api/users/1", &secret, long).await.status, 413);
    let mut batches = Vec::new();
    for _ in 0..11 {
        batches.push(ask(&settings, "/api/batch/1", &secret, b"{}").await);
    }
    let passed = batches.iter().filter(|batch| batch.status == 200).count();
    assert_eq!(passed, 10, "{batches:?}");
    assert!(batches[10].status == 429 && batches[10].headers.contains_key("retry-after"));
    end(program).await;
}

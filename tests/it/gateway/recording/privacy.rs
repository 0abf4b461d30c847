//! What must not be recorded, and what need not be.

use super::{Recorded, Recording};
use crate::{
    gateway::{route, route_with, settings},
    upstream::Upstream,
};

#[tokio::test]
async fn no_body_and_no_credential_is_in_the_outbox() {
    let backend = Upstream::raw(
        "HTTP/1.1 200 OK\r\ncontent-length: 11\r\nset-cookie: s3cret\r\nwww-authenticate: s3cret\r\n\r\nbody-s3cret",
    );
    let backend = backend.start().await;
    let matching = r#""match":{"headers":[{"name":"authorization"},{"name":"cookie"},{"name":"x-api-key"}],
                                  "query":[{"name":"token"}]}"#;
    let recording = Recording::of(&[
        route_with("login", "/login", &backend.url(), matching),
        route("all", "/*", &backend.url()),
    ]);
    let secrets = "authorization: Bearer s3cret\r\nproxy-authorization: Basic s3cret\r\ncookie: session=s3cret\r\n\
                   x-api-key: s3cret\r\nx-auth-token: s3cret\r\nx-unknown: s3cret\r\nreferer: http://a/?s3cret\r\n";
    for target in [
        "/login?token=s3cret",
        "/other?q=s3cret",
        "http://name:s3cret@a/login",
        "/%zz?s3cret",
    ] {
        recording
            .ask(&format!(
                "POST {target} HTTP/1.1\r\nhost: name:s3cret@a\r\n{secrets}content-length: 6\r\n\r\ns3cret"
            ))
            .await;
    }
    let recorded = recording.over().await;
    assert_eq!(recorded.rows.len(), 4);
    assert!(recorded.files_have("/login") && !recorded.files_have("s3cret"));
}

/// What is recorded of one request to `/users/7?q=1` and of one that no route takes.
async fn recorded_with(privacy: &str) -> Recorded {
    let backend = Upstream::replying(200).start().await;
    let recording = Recording::of(&[
        settings(&format!(r#"{{"privacy":{privacy}}}"#)),
        route("users", "/users/:id", &backend.url()),
    ]);
    recording.get("/users/7?q=1").await;
    recording.get("/nowhere?q=1").await;
    recording.over().await
}

#[tokio::test]
async fn a_path_is_recorded_and_a_query_is_not_unless_the_settings_say_otherwise() {
    let check = async |privacy: &str, expected: [(&str, Option<&str>); 2]| {
        let recorded = recorded_with(privacy).await;
        let seen = recorded
            .rows
            .iter()
            .map(|row| (row.outcome.path, row.outcome.query));
        assert_eq!(seen.collect::<Vec<_>>(), expected, "{privacy}");
    };
    check("{}", [("/users/7", None), ("/nowhere", None)]).await;
    check(
        r#"{"query":true}"#,
        [("/users/7", Some("q=1")), ("/nowhere", Some("q=1"))],
    )
    .await;
    check(
        r#"{"path":"template","query":true}"#,
        [("/users/:id", None), ("(unrouted)", None)],
    )
    .await;
}

#[tokio::test]
async fn an_address_is_recorded_as_much_as_the_settings_let_it_be_known() {
    let client = async |known: &str| {
        let recorded = recorded_with(&format!(r#"{{"clientAddress":"{known}"}}"#)).await;
        let [first, second] = [0, 1].map(|place: usize| recorded.rows[place].outcome.client);
        assert_eq!(first, second);
        first
    };
    assert_eq!(client("full").await, Some("127.0.0.1"));
    assert_eq!(client("prefix").await, Some("127.0.0.0/24"));
    assert_eq!(client("off").await, None);
    let (hash, other) = (client("hash").await.unwrap(), client("hash").await.unwrap());
    assert!(hash.len() == 16 && hash != other, "another start, another key");
}

#[tokio::test]
async fn what_is_written_of_requests_is_what_the_settings_say_when_they_come() {
    let backend = Upstream::replying(200).start().await;
    let mut recording = Recording::of(&[route("users", "/users/:id", &backend.url())]);
    for said in [
        "{}",
        r#"{"privacy":{"path":"template","clientAddress":"off"}}"#,
        r#"{"logging":{"sampling":{"successRate":0.0}}}"#,
        r#"{"privacy":{"query":true}}"#,
    ] {
        recording.node.change(&[settings(said)]);
        assert_eq!(recording.get("/users/7?q=1").await.status(), 200);
    }
    let recorded = recording.over().await;
    let seen = recorded.rows.iter().map(|row| {
        let outcome = &row.outcome;
        (outcome.path, outcome.query, outcome.client)
    });
    // The third has no row.
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [
            ("/users/7", None, Some("127.0.0.1")),
            ("/users/:id", None, None),
            ("/users/7", Some("q=1"), Some("127.0.0.1")),
        ]
    );
}

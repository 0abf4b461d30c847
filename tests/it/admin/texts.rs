//! Files that are sent as they are: what is wrong in them is said with its place.

use http::Method;
use serde_json::{Value, json};

use super::Api;
use crate::client::Answer;

impl Api {
    async fn apply_text(&self, query: &str, text: &str) -> Answer {
        self.call(Method::POST, &format!("/api/config/apply?{query}"))
            .header("content-type", "application/yaml")
            .body(text.to_owned())
            .send()
            .await
    }
}

/// Pointer, line and column of each mistake.
fn places(problem: &Value) -> Vec<(String, u64, u64)> {
    let errors = problem["errors"].as_array().unwrap();
    let place = |error: &Value| {
        let number = |name: &str| error[name].as_u64().unwrap_or_default();
        (
            error["pointer"].as_str().unwrap().to_owned(),
            number("line"),
            number("column"),
        )
    };
    errors.iter().map(place).collect()
}

#[tokio::test]
async fn every_mistake_of_a_text_has_a_pointer_a_line_and_a_column() {
    let api = Api::start().await;
    let check = async |text: &str, code: &str, expected: &[(&str, u64, u64)]| {
        let problem = api.apply_text("file=a.yml", text).await.problem(400, code);
        let expected: Vec<_> = expected
            .iter()
            .map(|(pointer, line, column)| ((*pointer).to_owned(), *line, *column))
            .collect();
        assert_eq!(places(&problem), expected, "{problem}");
        problem
    };
    let problem = check(
        "upstreams:\n- name: a\n  url: ftp://a\nroutes:\n- upstraem: a\n  path: x\n- path: /y\n",
        "invalid",
        &[
            ("/upstreams/0/url", 3, 8),
            ("/routes/0/upstraem", 5, 3),
            ("/routes/0/path", 6, 9),
            ("/routes/1", 7, 3),
        ],
    )
    .await;
    let detail = problem["errors"][1]["detail"].as_str().unwrap();
    assert!(detail.contains("did you mean `upstream`?"), "{detail}");
    check(
        "routs: []\nproxy: {timeout: -1}\n",
        "invalid",
        &[("/routs", 1, 1), ("/proxy/timeout", 2, 18)],
    )
    .await;
    check(
        "routes:\n- path: /\n  path: /a\n  upstream: http://a\n",
        "invalid",
        &[("/routes/0/path", 3, 3)],
    )
    .await;
    check("routes: [\n", "invalid", &[("", 1, 9)]).await;
    check(
        "security:\n  auth:\n    keys:\n    - {key: hunter2}\n    - name: x\n",
        "invalid",
        &[
            ("/security/auth/keys/0/key", 4, 13),
            ("/security/auth/keys/1", 5, 7),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_does_not_fit_together_has_its_place_too_also_beside_secrets() {
    let api = Api::start().await;
    let check = async |text: &str, code: &str, expected: (&str, u64, u64)| {
        let answer = api.apply_text("file=a.yml", text).await;
        let status = answer.status.as_u16();
        let problem = answer.problem(status, code);
        let (pointer, line, column) = expected;
        assert_eq!(
            places(&problem),
            [(pointer.to_owned(), line, column)],
            "{problem}"
        );
        assert!(!problem.to_string().contains("hunter"), "{problem}");
    };
    check(
        "routes:\n- path: /\n  upstream: shop\n",
        "unknown_upstream",
        ("/routes/0/upstream", 3, 13),
    )
    .await;
    // Secrets are masked in what is shown, which moves nothing.
    for secret in [
        "redis: {host: a, password: hunter2}",
        "redis: {host: a, 'password': 'hunter}, ''{2'}",
        "redis: {host: a, password: \"hunter\\\"}\"}",
        "redis: {\n  password: \"hunter\n    2}\", host: a}",
        "redis:\n  password: hunter\n    two\n  host: a",
        "redis: {url: 'redis://me:hunter2@a'}",
    ] {
        let text = format!("{secret}\nroutes: [{{path: /, upstream: shop}}]\n");
        let line = u64::try_from(text.lines().count()).unwrap();
        check(&text, "unknown_upstream", ("/routes/0/upstream", line, 30)).await;
    }
    check(
        "security:\n  allowedHosts: [a]\n  blockedIPs: [10.0.0.0/8]\nroutes: [{path: /, upstream: 'http://10.0.0.1'}]\n",
        "destination_prohibited",
        ("/routes/0/upstream", 4, 30),
    )
    .await;
}

#[tokio::test]
async fn a_file_that_says_its_name_is_known_by_it_wherever_it_comes_from() {
    let api = Api::start().await;
    let text = "name: shop of the team\nroutes:\n- id: a\n  path: /a\n  upstream: http://a\n- id: b\n  path: /b\n  upstream: http://b\n";
    api.apply_text("", text).await.is(200);
    let other =
        json!({ "file": "proxy.yml", "routes": [{ "id": "a", "path": "/a", "upstream": "http://c" }] });
    let problem = api
        .post("/api/config/apply", other)
        .await
        .problem(409, "file_conflict");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("belongs to the file \"shop of the team\""),
        "{detail}"
    );

    let problem = api
        .apply_text("file=proxy.yml", text)
        .await
        .problem(400, "invalid");
    assert_eq!(places(&problem), [("/name".to_owned(), 1, 7)]);
    let shrunk = text.split("- id: b").next().unwrap();
    let answer = api.apply_text("", shrunk).await.is(200).json();
    assert_eq!(answer["changes"][0]["type"], "io.flexgate.route.deleted.v1");
}

#[tokio::test]
async fn another_file_of_the_same_name_takes_nothing_away() {
    let api = Api::start().await;
    let ours = "routes:\n- path: /a\n  upstream: http://a\n- path: /b\n  upstream: http://b\n";
    api.apply_text("file=repository/proxy.yml", ours).await.is(200);
    let theirs = "routes:\n- path: /c\n  upstream: http://c\n";
    for query in ["file=proxy.yml", "file=proxy.yml&dryRun=true"] {
        let problem = api.apply_text(query, theirs).await.problem(409, "nothing_left");
        assert!(
            problem["detail"].as_str().unwrap().contains("give it a `name`"),
            "{problem}"
        );
    }
    api.apply_text("file=proxy.yml", &format!("name: theirs.yml\n{theirs}"))
        .await
        .problem(400, "invalid");
    api.apply_text("", &format!("name: theirs.yml\n{theirs}"))
        .await
        .is(200);
    assert_eq!(api.get("/api/routes").await.json().as_array().unwrap().len(), 3);
    api.apply_text("file=proxy.yml&force=true", "routes: []\n")
        .await
        .is(200);
    assert_eq!(api.get("/api/routes").await.json().as_array().unwrap().len(), 1);
}

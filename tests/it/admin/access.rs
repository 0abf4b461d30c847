//! Who gets in, and what is said to the rest.

use http::Method;
use serde_json::json;

use super::{Api, TOKEN};

#[tokio::test]
async fn without_the_token_nothing_below_api_answers() {
    let api = Api::start().await;
    for target in [
        "/api/routes",
        "/api/settings",
        "/api/status",
        "/api/stream/events",
        "/api",
        "/api/nothing",
        "/metrics",
    ] {
        let answer = api.call(Method::GET, target).token(None).send().await;
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer realm=\"flexgate\"",
            "{target}"
        );
        let problem = answer.problem(401, "no_token");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("the head of whoever wrote this test"),
            "{problem}"
        );
        assert!(!problem.to_string().contains(TOKEN));
    }
}

#[tokio::test]
async fn a_wrong_token_is_told_to_be_wrong() {
    let api = Api::start().await;
    for token in [
        "Bearer guess",
        "Basic correct",
        "Bearer correct-horse-battery-stapl",
    ] {
        let answer = api
            .call(Method::GET, "/api/routes")
            .token(Some(token))
            .send()
            .await;
        assert!(
            answer
                .header("www-authenticate")
                .starts_with("Bearer realm=\"flexgate\"")
        );
        let code = if token.starts_with("Basic") {
            "no_token"
        } else {
            "wrong_token"
        };
        answer.problem(401, code);
    }
}

#[tokio::test]
async fn a_write_without_the_token_changes_nothing() {
    let api = Api::start().await;
    let before = api.commits();
    let upstream = json!({ "name": "backend", "url": "http://127.0.0.1:8080" });
    api.call(Method::POST, "/api/upstreams")
        .token(None)
        .json(&upstream)
        .send()
        .await
        .problem(401, "no_token");
    assert_eq!(api.commits(), before);
}

#[tokio::test]
async fn health_and_the_documentation_need_no_token() {
    let api = Api::start().await;
    for (target, status) in [
        ("/health", 200),
        ("/health/live", 200),
        ("/health/ready", 503),
        ("/api/openapi.json", 200),
    ] {
        api.call(Method::GET, target).token(None).send().await.is(status);
    }
}

#[tokio::test]
async fn metrics_need_the_token_here() {
    let answer = Api::start().await.get("/metrics").await.is(200);
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert_eq!(answer.body, "flexgate_up 1\n");
}

#[tokio::test]
async fn a_path_that_is_not_there_is_404_and_a_method_that_is_not_is_405_with_allow() {
    let api = Api::start().await;
    api.get("/api/rotues").await.problem(404, "no_such_path");
    api.get("/api/routes/").await.problem(404, "no_such_path");
    api.call(Method::GET, "/elsewhere")
        .token(None)
        .send()
        .await
        .problem(404, "no_such_path");
    let answer = api.put("/api/routes", json!({})).await;
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
    answer.problem(405, "method_not_allowed");
    let answer = api.call(Method::OPTIONS, "/api/settings").send().await;
    assert_eq!(answer.header("allow"), "GET,HEAD,PUT");
    answer.problem(405, "method_not_allowed");
}

#[tokio::test]
async fn every_answer_says_how_it_may_be_used() {
    let api = Api::start().await;
    for target in ["/api/routes", "/api/nothing", "/health"] {
        let answer = api.get(target).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
}

#[tokio::test]
async fn the_correlation_id_comes_back_in_header_and_problem() {
    let api = Api::start().await;
    let answer = api
        .call(Method::GET, "/api/routes/none")
        .header("X-Correlation-ID", "order-4711")
        .send()
        .await;
    assert_eq!(answer.header("x-correlation-id"), "order-4711");
    let problem = answer.problem(404, "not_found");
    assert_eq!(problem["instance"], "/api/routes/none");
    assert_eq!(problem["revision"], api.journal.view().revision());
    let answer = api
        .call(Method::GET, "/api/routes")
        .header("X-Correlation-ID", "two words")
        .send()
        .await;
    assert_eq!(answer.header("x-correlation-id").len(), 36, "one was made");
}

#[tokio::test]
async fn a_query_parameter_that_nobody_knows_is_refused() {
    let api = Api::start().await;
    for target in [
        "/api/routes?limt=5",
        "/api/routes/a?x",
        "/api/settings?wait=nodes",
        "/api/nodes?all",
        "/api/status?x=1",
    ] {
        api.get(target).await.problem(400, "bad_query");
    }
    let problem = api
        .delete("/api/routes/a?wiat=nodes")
        .await
        .problem(400, "bad_query");
    assert!(problem["detail"].as_str().unwrap().contains("wiat"), "{problem}");
}

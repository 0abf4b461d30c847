//! Versions and preconditions: `ETag`, If-Match, If-None-Match, FlexGate-Min-Revision.

use std::time::Duration;

use flexgate::admin::openapi;
use futures_util::{FutureExt as _, future::join_all};
use http::Method;
use serde_json::json;

use super::Api;
use crate::fixtures::Postgres;

#[tokio::test]
async fn an_edit_of_a_stale_version_is_412_and_changes_nothing() {
    let api = Api::with_backend().await;
    let read = api.get("/api/upstreams/backend").await;
    api.patch("/api/upstreams/backend", json!({ "timeout": 1 }))
        .await
        .is(200);
    let before = api.commits();
    for (method, body) in [
        (Method::PUT, json!({ "url": "http://other" })),
        (Method::PATCH, json!({ "timeout": 2 })),
        (Method::DELETE, json!({})),
    ] {
        let problem = api
            .call(method, "/api/upstreams/backend")
            .header("If-Match", &read.header("etag"))
            .json(&body)
            .send()
            .await
            .problem(412, "stale");
        assert!(
            problem["detail"].as_str().unwrap().contains("read it again"),
            "{problem}"
        );
    }
    assert_eq!(api.commits(), before);
}

#[tokio::test]
async fn an_edit_of_the_present_version_is_taken_also_from_a_list_and_by_a_star() {
    let api = Api::with_backend().await;
    let mut tag = api.get("/api/upstreams/backend").await.header("etag");
    for (n, form) in ["TAG", "\"1-1\", TAG", "\"foreign\",TAG", "*"]
        .into_iter()
        .enumerate()
    {
        let patched = api
            .call(Method::PATCH, "/api/upstreams/backend")
            .header("If-Match", &form.replace("TAG", &tag))
            .json(&json!({ "timeout": n + 1 }))
            .send()
            .await
            .is(200);
        tag = patched.header("etag");
    }
}

#[tokio::test]
async fn of_two_edits_of_the_same_version_one_wins() {
    let (here, there) = two_processes().await;
    let created = here
        .post(
            "/api/upstreams",
            json!({ "name": "users", "url": "http://users" }),
        )
        .await
        .is(201);
    let patch = async |api: &Api, timeout: u32| {
        api.call(Method::PATCH, "/api/upstreams/users")
            .header("If-Match", &created.header("etag"))
            .json(&json!({ "timeout": timeout }))
            .send()
            .await
    };
    assert!(
        there
            .journal
            .reached(created.revision(), crate::fixtures::PATIENCE)
            .await
    );
    let (one, two) = tokio::join!(patch(&here, 1), patch(&there, 2));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
}

#[tokio::test]
async fn a_version_of_another_history_is_stale() {
    let api = Api::with_backend().await;
    let revision = api.get("/api/upstreams/backend").await.json()["revision"].clone();
    api.call(Method::DELETE, "/api/upstreams/backend")
        .header("If-Match", &format!("\"2-{revision}\""))
        .send()
        .await
        .problem(412, "stale");
}

#[tokio::test]
async fn if_none_match_star_creates_and_never_replaces() {
    let api = Api::with_backend().await;
    let put = |id: &str| {
        let body = json!({ "path": "/a", "upstream": "backend" });
        api.call(Method::PUT, &format!("/api/routes/{id}"))
            .header("If-None-Match", "*")
            .json(&body)
            .send()
    };
    let created = put("a").await.is(201);
    assert_eq!(created.header("location"), "/api/routes/a");
    put("a").await.problem(412, "stale");
    let again = json!({ "id": "a", "path": "/a", "upstream": "backend" });
    api.call(Method::POST, "/api/routes")
        .header("If-None-Match", "*")
        .json(&again)
        .send()
        .await
        .problem(412, "stale");
}

#[tokio::test]
async fn a_precondition_that_cannot_be_read_is_refused_rather_than_ignored() {
    let api = Api::with_backend().await;
    for (name, value) in [("If-Match", "1-2"), ("If-None-Match", "\"1-2\"")] {
        api.call(Method::DELETE, "/api/upstreams/backend")
            .header(name, value)
            .send()
            .await
            .problem(400, "bad_header");
    }
    api.get("/api/upstreams/backend").await.is(200);
}

#[tokio::test]
async fn a_reader_who_has_the_present_version_gets_304() {
    let api = Api::with_backend().await;
    for target in ["/api/upstreams/backend", "/api/upstreams", "/api/settings"] {
        let tag = api.get(target).await.is(200).header("etag");
        let again = api
            .call(Method::GET, target)
            .header("If-None-Match", &tag)
            .send()
            .await
            .is(304);
        assert!(again.body.is_empty());
        assert_eq!(again.header("etag"), tag);
    }
    let tag = api.get("/api/upstreams").await.header("etag");
    api.patch("/api/upstreams/backend", json!({ "timeout": 1 }))
        .await
        .is(200);
    api.call(Method::GET, "/api/upstreams")
        .header("If-None-Match", &tag)
        .send()
        .await
        .is(200);
}

#[tokio::test]
async fn a_read_after_a_write_elsewhere_waits_for_the_writes_revision() {
    let (here, there) = two_processes().await;
    let written = there
        .post(
            "/api/upstreams",
            json!({ "name": "users", "url": "http://users" }),
        )
        .await
        .is(201);
    here.call(Method::GET, "/api/upstreams/users")
        .header("FlexGate-Min-Revision", &written.revision().to_string())
        .send()
        .await
        .is(200);
}

#[tokio::test]
async fn a_revision_that_does_not_come_within_two_seconds_is_503() {
    let api = Api::start().await;
    let started = std::time::Instant::now();
    let problem = api
        .call(Method::GET, "/api/routes")
        .header("FlexGate-Min-Revision", "1000000")
        .send()
        .await
        .problem(503, "behind");
    assert!(started.elapsed() >= Duration::from_secs(2));
    assert!(
        problem["detail"].as_str().unwrap().contains("1000000"),
        "{problem}"
    );
    api.call(Method::GET, "/api/routes")
        .header("FlexGate-Min-Revision", "soon")
        .send()
        .await
        .problem(400, "bad_header");
}

/// Two processes over one log.
async fn two_processes() -> (Api, Api) {
    let here = Api::start().await;
    let there = Api::over(here.log.clone()).await;
    (here, there)
}

#[tokio::test]
async fn every_read_of_the_configuration_waits_for_the_revision_that_it_must_not_be_older_than() {
    let api = &Api::with_backend().await;
    let document = openapi::document();
    let (mut reads, mut answers) = (Vec::new(), Vec::new());
    for (path, item) in document["paths"].as_object().unwrap() {
        let get = &item["get"];
        let waits = get["parameters"].to_string().contains("FlexGate-Min-Revision");
        let is_stamped = get["responses"]["200"]["headers"]
            .to_string()
            .contains("FlexGate-Revision");
        assert!(
            waits || !is_stamped,
            "{path} says what it was read from, and waits for nothing"
        );
        if waits {
            reads.push(path);
            let target = path.replace("{id}", "backend").replace("{name}", "backend");
            let target = target.replace("/diff", "/diff?from=1");
            answers.push(
                async move {
                    let call = api.call(Method::GET, &target);
                    call.header("FlexGate-Min-Revision", "1000").send().await
                }
                .boxed_local(),
            );
        }
    }
    assert!(reads.len() > 10, "{reads:?}");
    for (path, answer) in reads.iter().zip(join_all(answers).await) {
        // The tables are not there; what a key cannot be called is not found.
        let expected = match path.as_str() {
            "/api/analytics/top" => "no_database",
            "/api/keys/{id}" => "not_found",
            _ => "behind",
        };
        assert_eq!(answer.json()["code"], expected, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn names_from_the_tables_are_not_older_than_was_asked_for() {
    let api = Api::over_tables(&Postgres::database().await).await;
    let top = async |revision: &str| {
        let call = api.call(Method::GET, "/api/analytics/top");
        call.header("FlexGate-Min-Revision", revision).send().await
    };
    top("0").await.is(200);
    let problem = top("1").await.problem(503, "behind");
    assert!(
        problem["detail"].as_str().unwrap().contains("revision 0"),
        "nobody fills them: {problem}"
    );
}

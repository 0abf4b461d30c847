//! Routes: created, read, replaced, amended, deleted, listed.

use http::Method;
use serde_json::{Value, json};

use super::Api;

fn to_backend(path: &str) -> Value {
    json!({ "path": path, "upstream": "backend" })
}

#[tokio::test]
async fn the_readmes_route_is_created_and_read_back() {
    let api = Api::start().await;
    let sent = json!({
        "path": "/api/products",
        "upstream": "https://products.example.com",
        "methods": ["GET"],
        "rateLimit": { "requests": 50, "window": "60s" },
    });
    let created = api.post("/api/routes", sent.clone()).await.is(201);
    let route = created.json();
    for field in ["path", "upstream", "methods", "rateLimit"] {
        assert_eq!(route[field], sent[field], "{route}");
    }
    let id = route["id"].as_str().unwrap();
    assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 7);
    assert_eq!(created.header("location"), format!("/api/routes/{id}"));
    assert_eq!(route["revision"], created.revision());
    assert_eq!(route["createdAt"], route["updatedAt"]);
    assert_eq!(created.header("etag"), format!("\"1-{}\"", created.revision()));

    let read = api.get(&created.header("location")).await.is(200);
    assert_eq!(read.header("etag"), created.header("etag"));
    let mut expected = route;
    expected.as_object_mut().unwrap().remove("warnings");
    assert_eq!(read.json(), expected);
}

#[tokio::test]
async fn both_dialects_of_the_readme_are_read() {
    let api = Api::with_backend().await;
    let mut route = to_backend("/*");
    route["rateLimit"] = json!({ "max": 100, "windowMs": 60_000 });
    route["circuitBreaker"] = json!({ "failureThreshold": 5 });
    let route = api.post("/api/routes", route).await.is(201).json();
    assert_eq!(route["rateLimit"], json!({ "requests": 100, "window": "60s" }));
    assert_eq!(route["circuitBreaker"]["threshold"], 5);
}

#[tokio::test]
async fn a_route_may_bring_its_own_id_and_creating_it_again_changes_nothing() {
    let api = Api::with_backend().await;
    let mut route = to_backend("/a");
    route["id"] = "a".into();
    let first = api.post("/api/routes", route.clone()).await.is(201);
    let again = api.post("/api/routes", route.clone()).await.is(200);
    assert_eq!(again.header("etag"), first.header("etag"));
    assert!(!again.headers.contains_key("location"));
    route["path"] = "/b".into();
    api.post("/api/routes", route)
        .await
        .is_problem(409, "already_exists");
}

#[tokio::test]
async fn a_second_route_for_the_same_requests_is_refused() {
    let api = Api::with_backend().await;
    let first = api.post("/api/routes", to_backend("/a/:x")).await.is(201).json();
    let problem = api
        .post("/api/routes", to_backend("/a/:y"))
        .await
        .is_problem(409, "duplicate_route");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains(first["id"].as_str().unwrap()),
        "{problem}"
    );
}

#[tokio::test]
async fn a_route_to_an_upstream_that_is_not_there_is_refused_with_a_suggestion() {
    let api = Api::with_backend().await;
    let problem = api
        .post("/api/routes", json!({ "path": "/a", "upstream": "bakend" }))
        .await
        .is_problem(400, "unknown_upstream");
    assert_eq!(problem["errors"][0]["pointer"], "/upstream");
    assert!(
        problem["errors"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("\"backend\""),
        "{problem}"
    );
}

#[tokio::test]
async fn what_was_read_can_be_edited_and_put_back() {
    let api = Api::with_backend().await;
    let created = api.post("/api/routes", to_backend("/a")).await.is(201);
    let target = created.header("location");
    let mut route = api.get(&target).await.json();
    route["path"] = "/b".into();
    let put = api.put(&target, route.clone()).await.is(200);
    let stored = put.json();
    assert_eq!(stored["path"], "/b");
    assert_eq!(stored["createdAt"], route["createdAt"]);
    assert_eq!(stored["revision"], put.revision());
    assert!(put.revision() > created.revision());
    assert_eq!(api.get(&target).await.json(), stored);
}

#[tokio::test]
async fn a_put_needs_no_id_but_takes_no_other_one() {
    let api = Api::with_backend().await;
    let target = api.post("/api/routes", to_backend("/a")).await.header("location");
    api.put(&target, to_backend("/b")).await.is(200);
    let mut route = to_backend("/c");
    route["id"] = "another".into();
    let problem = api.put(&target, route).await.is_problem(400, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/id");
    assert_eq!(api.get(&target).await.json()["path"], "/b");
}

#[tokio::test]
async fn a_put_that_changes_nothing_is_no_commit() {
    let api = Api::with_backend().await;
    let created = api.post("/api/routes", to_backend("/a")).await;
    let before = api.commits();
    let put = api
        .put(&created.header("location"), to_backend("/a"))
        .await
        .is(200);
    assert_eq!(
        (api.commits(), put.header("etag")),
        (before, created.header("etag"))
    );
}

#[tokio::test]
async fn a_patch_changes_some_fields_and_null_takes_one_away() {
    let api = Api::with_backend().await;
    let mut route = to_backend("/a");
    route["timeout"] = 1000.into();
    route["rateLimit"] = json!({ "requests": 5, "window": "1s" });
    let target = api.post("/api/routes", route).await.header("location");
    let patched = api
        .call(Method::PATCH, &target)
        .header("content-type", "application/merge-patch+json")
        .body(json!({ "enabled": false, "timeout": null, "rateLimit": { "requests": 9 } }).to_string())
        .send()
        .await
        .is(200)
        .json();
    assert_eq!(patched["enabled"], false);
    assert_eq!(patched["rateLimit"], json!({ "requests": 9, "window": "1s" }));
    assert_eq!(patched.get("timeout"), None);
    assert_eq!(patched["path"], "/a");
}

#[tokio::test]
async fn a_patch_is_checked_like_any_other_value() {
    let api = Api::with_backend().await;
    let target = api.post("/api/routes", to_backend("/a")).await.header("location");
    let problem = api
        .patch(&target, json!({ "priority": "high" }))
        .await
        .is_problem(400, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/priority");
    let problem = api
        .patch(&target, json!({ "id": "b" }))
        .await
        .is_problem(400, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/id");
    api.patch("/api/routes/none", json!({ "enabled": false }))
        .await
        .is_problem(404, "not_found");
}

#[tokio::test]
async fn a_deleted_route_is_gone() {
    let api = Api::with_backend().await;
    let target = api.post("/api/routes", to_backend("/a")).await.header("location");
    let deleted = api.delete(&target).await.is(204);
    assert!(deleted.body.is_empty());
    assert_eq!(deleted.revision(), api.journal.view().revision());
    api.get(&target).await.is_problem(404, "not_found");
    api.delete(&target).await.is_problem(404, "not_found");
    api.put(&target, to_backend("/a"))
        .await
        .is_problem(404, "not_found");
}

#[tokio::test]
async fn an_id_that_cannot_be_one_is_not_found() {
    let api = Api::start().await;
    let problem = api.get("/api/routes/a.b").await.is_problem(404, "not_found");
    assert!(
        problem["detail"].as_str().unwrap().contains("letters, digits"),
        "{problem}"
    );
    api.get("/api/routes/%FF").await.is_problem(404, "not_found");
}

#[tokio::test]
async fn a_route_that_can_never_match_is_stored_with_a_warning() {
    let api = Api::with_backend().await;
    let first = json!({ "id": "all", "path": "/*", "priority": 9, "upstream": "backend" });
    assert_eq!(
        api.post("/api/routes", first)
            .await
            .is(201)
            .json()
            .get("warnings"),
        None
    );
    let stored = api.post("/api/routes", to_backend("/a")).await.is(201).json();
    assert_eq!(stored["warnings"][0]["code"], "route_shadowed");
    assert!(
        stored["warnings"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("\"all\""),
        "{stored}"
    );
}

#[tokio::test]
async fn the_list_is_a_bare_array_by_id() {
    let api = Api::with_backend().await;
    assert_eq!(api.get("/api/routes").await.is(200).json(), json!([]));
    for id in ["c", "a", "b"] {
        let route = json!({ "id": id, "path": format!("/{id}"), "upstream": "backend" });
        api.post("/api/routes", route).await.is(201);
    }
    let list = api.get("/api/routes").await.is(200);
    let ids: Vec<_> = list
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|route| route["id"].clone())
        .collect();
    assert_eq!(ids, ["a", "b", "c"]);
    assert!(!list.headers.contains_key("link"));
}

#[tokio::test]
async fn pages_are_linked_until_the_last_and_miss_nothing_that_stays() {
    let api = Api::with_backend().await;
    for n in 0..5 {
        let route = json!({ "id": format!("r{n}"), "path": format!("/{n}"), "upstream": "backend" });
        api.post("/api/routes", route).await.is(201);
    }
    let mut target = "/api/routes?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = api.get(&target).await.is(200);
        seen.extend(
            page.json()
                .as_array()
                .unwrap()
                .iter()
                .map(|route| route["id"].as_str().unwrap().to_owned()),
        );
        let Some(link) = page.headers.get("link") else {
            break;
        };
        let (next, relation) = link.to_str().unwrap().split_once(">; ").unwrap();
        assert_eq!(relation, "rel=\"next\"");
        target = next.strip_prefix('<').unwrap().to_owned();
        api.delete(&format!("/api/routes/{}", seen.last().unwrap()))
            .await
            .is(204);
    }
    assert_eq!(seen, ["r0", "r1", "r2", "r3", "r4"]);
    api.get("/api/routes?limit=0").await.is_problem(400, "bad_query");
    api.get("/api/routes?limit=many")
        .await
        .is_problem(400, "bad_query");
}

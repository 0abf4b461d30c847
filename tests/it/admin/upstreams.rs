//! Upstreams: what is special about them.

use serde_json::json;

use super::Api;

#[tokio::test]
async fn an_upstream_is_answered_with_its_name_as_id_too() {
    let api = Api::start().await;
    let created = api
        .post(
            "/api/upstreams",
            json!({ "name": "users", "url": "http://users:80" }),
        )
        .await
        .is(201);
    assert_eq!(created.header("location"), "/api/upstreams/users");
    let upstream = api.get("/api/upstreams/users").await.is(200).json();
    assert_eq!(
        (&upstream["id"], &upstream["name"]),
        (&json!("users"), &json!("users"))
    );
    assert_eq!(upstream, created.json());
    assert_eq!(api.get("/api/upstreams").await.json(), json!([upstream]));
}

#[tokio::test]
async fn an_upstream_is_named_by_name_or_by_id_but_not_differently_by_both() {
    let api = Api::start().await;
    api.post("/api/upstreams", json!({ "id": "a", "url": "http://a" }))
        .await
        .is(201);
    api.post(
        "/api/upstreams",
        json!({ "id": "b", "name": "b", "url": "http://b" }),
    )
    .await
    .is(201);
    let problem = api
        .post(
            "/api/upstreams",
            json!({ "id": "c", "name": "d", "url": "http://c" }),
        )
        .await
        .is_problem(400, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/id");
    let problem = api
        .post("/api/upstreams", json!({ "url": "http://c" }))
        .await
        .is_problem(400, "invalid");
    assert!(
        problem["detail"].as_str().unwrap().contains("`name`"),
        "{problem}"
    );
}

#[tokio::test]
async fn what_was_read_can_be_edited_and_put_back() {
    let api = Api::with_backend().await;
    let mut upstream = api.get("/api/upstreams/backend").await.json();
    upstream["timeout"] = "3s".into();
    let stored = api.put("/api/upstreams/backend", upstream).await.is(200).json();
    assert_eq!(stored["timeout"], 3000);
    let amended = api
        .patch(
            "/api/upstreams/backend",
            json!({ "id": "backend", "timeout": null }),
        )
        .await
        .is(200)
        .json();
    assert_eq!(amended.get("timeout"), None);
}

#[tokio::test]
async fn an_upstream_in_use_is_not_deleted_and_who_uses_it_is_named() {
    let api = Api::with_backend().await;
    api.post(
        "/api/routes",
        json!({ "id": "shop", "path": "/shop/*", "upstream": "backend" }),
    )
    .await
    .is(201);
    let problem = api
        .delete("/api/upstreams/backend")
        .await
        .is_problem(409, "upstream_in_use");
    assert!(
        problem["detail"].as_str().unwrap().contains("\"shop\""),
        "{problem}"
    );
    api.delete("/api/routes/shop").await.is(204);
    api.delete("/api/upstreams/backend").await.is(204);
}

#[tokio::test]
async fn a_credential_in_the_clear_is_refused_and_not_repeated() {
    let api = Api::start().await;
    let upstream = json!({ "name": "a", "url": "http://a", "authorization": "Bearer hunter2" });
    let problem = api
        .post("/api/upstreams", upstream)
        .await
        .is_problem(400, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/authorization");
    assert!(!problem.to_string().contains("hunter2"), "{problem}");
}

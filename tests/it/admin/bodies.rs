//! Bodies that cannot be read, and what is said about them.

use http::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Api, TOKEN};

#[tokio::test]
async fn a_body_of_another_media_type_is_415() {
    let api = Api::start().await;
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/yaml",
    ] {
        api.call(Method::POST, "/api/routes")
            .header("content-type", media_type)
            .body("{}")
            .send()
            .await
            .problem(415, "unsupported_media_type");
    }
    api.call(Method::POST, "/api/routes")
        .body("{}")
        .send()
        .await
        .problem(415, "unsupported_media_type");
    let problem = api
        .call(Method::PATCH, "/api/routes/a")
        .header("content-type", "application/json-patch+json")
        .body("[]")
        .send()
        .await
        .problem(415, "unsupported_media_type");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("application/merge-patch+json"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_body_that_is_not_json_is_400_with_the_place() {
    let api = Api::start().await;
    let problem = api
        .call(Method::POST, "/api/routes")
        .header("content-type", "application/json")
        .body("{\n  \"path\": ,\n}")
        .send()
        .await
        .problem(400, "malformed");
    assert!(
        problem["detail"].as_str().unwrap().contains("line 2 column 11"),
        "{problem}"
    );
}

#[tokio::test]
async fn an_unknown_field_is_refused_with_a_pointer() {
    let api = Api::with_backend().await;
    let route = json!({ "path": "/", "upstream": "backend", "rateLimit": { "requests": 1, "window": 1, "brust": 2 } });
    let problem = api.post("/api/routes", route).await.problem(400, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/rateLimit/brust");
    assert!(
        problem["errors"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("unknown field"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_path_pattern_that_is_none_is_refused_with_a_pointer() {
    let api = Api::with_backend().await;
    let problem = api
        .post("/api/routes", json!({ "path": "users", "upstream": "backend" }))
        .await
        .problem(400, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/path");
}

#[tokio::test]
async fn a_field_that_is_there_twice_is_refused() {
    let api = Api::with_backend().await;
    let problem = api
        .call(Method::POST, "/api/routes")
        .header("content-type", "application/json")
        .body(r#"{"path":"/a","upstream":"backend","path":"/b"}"#)
        .send()
        .await
        .problem(400, "invalid");
    assert!(problem["detail"].as_str().unwrap().contains("twice"), "{problem}");
}

#[tokio::test]
async fn a_body_beyond_a_mebibyte_is_413_before_it_is_sent() {
    let api = Api::start().await;
    let mut connection = TcpStream::connect(api.addr).await.unwrap();
    let head = format!(
        "POST /api/routes HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n\
         Content-Length: 1048577\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_body_that_grows_beyond_a_mebibyte_is_413() {
    let api = Api::start().await;
    let mut connection = TcpStream::connect(api.addr).await.unwrap();
    let head = format!(
        "POST /api/routes HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n100001\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&vec![b' '; 0x10_0001]).await.unwrap();
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn an_edit_that_cannot_be_is_refused_with_a_pointer_and_the_reason() {
    let api = Api::with_backend().await;
    let refused = async |edits: Value, pointer: &str, reason: &str| {
        let route = json!({ "path": "/users/:id", "upstream": "backend", "headers": { "request": edits } });
        let problem = api.post("/api/routes", route).await.problem(400, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(reason), "{detail}");
    };
    refused(
        json!({ "set": { "x-user": "${user.id}" } }),
        "/headers/request/set/x-user",
        "there are client.address, request.id",
    )
    .await;
    refused(
        json!({ "set": { "x-user": "${path.user}" } }),
        "/headers/request/set/x-user",
        "the path /users/:id has no such segment",
    )
    .await;
    refused(
        json!({ "set": { "x-user": "a\r\nb" } }),
        "/headers/request/set/x-user",
        "control characters",
    )
    .await;
    refused(
        json!({ "remove": ["x-a", "content-length"] }),
        "/headers/request/remove/1",
        "belongs to one hop",
    )
    .await;
    refused(
        json!({ "set": { "authorization": "Basic x" } }),
        "/headers/request",
        "an upstream has `authorization`",
    )
    .await;
}

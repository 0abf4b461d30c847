//! Where requests may go, as it is refused and warned of at the edit: over HTTP and by the command line.

use std::{path::Path, process::Output};

use serde_json::{Value, json};
use tokio::process::Command;

use super::{Api, TOKEN};

const METADATA: &str = "http://169.254.169.254/latest";

/// Blocks these networks.
async fn block(api: &Api, networks: &[&str]) -> Value {
    let settings = json!({ "security": { "blockedIPs": networks } });
    api.put("/api/settings", settings).await.is(200).json()
}

/// Runs the program against an API, in a folder.
async fn flexgate(api: &Api, folder: &Path, words: &str) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_flexgate"));
    program
        .args(words.split_whitespace())
        .args(["--admin", &api.addr.to_string()])
        .current_dir(folder)
        .env_clear()
        .env("FLEXGATE_ADMIN_TOKEN", TOKEN);
    program.output().await.unwrap()
}

#[tokio::test]
async fn a_prohibited_target_is_pointed_at() {
    let api = Api::start().await;
    block(&api, &["10.0.0.0/8"]).await;
    let two = json!({ "name": "u", "targets": [{ "url": "http://a" }, { "url": "http://10.1.2.3" }] });
    for (path, body, pointer, says) in [
        (
            "/api/upstreams",
            json!({ "name": "u", "url": METADATA }),
            "/url",
            "169.254.169.254 is a link-local address",
        ),
        (
            "/api/upstreams",
            two,
            "/targets/1/url",
            "10.1.2.3 is in 10.0.0.0/8",
        ),
        (
            "/api/routes",
            json!({ "id": "r", "path": "/", "upstream": "http://0x7f.1:8080" }),
            "/upstream",
            "\"0x7f.1\" is an address to some programs",
        ),
        (
            "/api/config/apply",
            json!({ "upstreams": [{ "name": "ok", "url": "http://a" }, { "name": "u", "url": METADATA }] }),
            "/upstreams/1/url",
            "169.254.169.254",
        ),
    ] {
        let problem = api.post(path, body).await.problem(400, "destination_prohibited");
        let error = &problem["errors"][0];
        assert_eq!(error["pointer"], pointer, "{problem}");
        assert!(error["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    assert_eq!(api.get("/api/upstreams").await.json(), json!([]));
}

#[tokio::test]
async fn a_name_before_an_at_sign_is_no_disguise() {
    let api = Api::start().await;
    let url = "http://api.example.com@169.254.169.254/";
    let upstream = api
        .post("/api/upstreams", json!({ "name": "u", "url": url }))
        .await;
    assert_eq!(upstream.problem(400, "invalid")["errors"][0]["pointer"], "/url");
    let route = json!({ "id": "r", "path": "/", "upstream": url });
    let route = api.post("/api/routes", route).await;
    assert_eq!(route.problem(400, "invalid")["errors"][0]["pointer"], "/upstream");
}

#[tokio::test]
async fn to_block_where_an_upstream_is_takes_effect_and_is_warned_of() {
    let api = Api::with_backend().await;
    let put = block(&api, &["127.0.0.0/8"]).await;
    let warning = &put["warnings"][0];
    assert_eq!(warning["code"], "keeps_requests_from");
    assert_eq!(
        warning["detail"],
        r#"`security` keeps requests from upstream "backend""#
    );
    assert_eq!(put["security"], json!({ "blockedIPs": ["127.0.0.0/8"] }));
    let patched = api
        .patch("/api/upstreams/backend", json!({ "timeout": "1s" }))
        .await;
    assert_eq!(
        patched.is(200).json()["warnings"][0]["code"],
        "destination_prohibited"
    );
}

#[tokio::test]
async fn a_mistake_in_a_list_is_pointed_at() {
    let api = Api::start().await;
    for (security, pointer) in [
        (
            json!({ "blockedIPs": ["10.0.0.1", "everything"] }),
            "/security/blockedIPs/1",
        ),
        (
            json!({ "allowedHosts": ["a.example", "http://b"] }),
            "/security/allowedHosts/1",
        ),
        (json!({ "allowedHosts": ["0x7f.1"] }), "/security/allowedHosts/0"),
        (json!({ "blocked": [] }), "/security/blocked"),
    ] {
        let answer = api.put("/api/settings", json!({ "security": security })).await;
        assert_eq!(answer.problem(400, "invalid")["errors"][0]["pointer"], pointer);
    }
}

#[tokio::test]
async fn the_command_line_says_what_is_prohibited_and_in_which_line_of_a_file() {
    let api = Api::start().await;
    block(&api, &["10.0.0.0/8"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file =
        "upstreams:\n  - name: u\n    targets:\n      - url: http://a\n      - url: http://10.1.2.3:8080\n";
    std::fs::write(folder.path().join("proxy.yml"), file).unwrap();
    for (words, parts) in [
        (
            format!("upstreams create u --url {METADATA}"),
            &["169.254.169.254 is a link-local address"][..],
        ),
        (
            "apply proxy.yml".to_owned(),
            &["[proxy.yml:5:14]", "^^^^", "10.1.2.3 is in 10.0.0.0/8"],
        ),
    ] {
        let done = flexgate(&api, folder.path(), &words).await;
        let stderr = String::from_utf8(done.stderr).unwrap();
        assert!(!done.status.success(), "{words}");
        for part in parts {
            assert!(stderr.contains(part), "{words}: {part}\n{stderr}");
        }
    }
}

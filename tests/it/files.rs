//! The configuration file of a running process: who wins, and what happens when it changes.

mod editing;
mod examples;

use std::{fs, path::Path};

use flexgate::journal::jetstream::{JetStreamLog, Names};
use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    client::Admin,
    fixtures::{self, LOOK_AGAIN, Nats, PATIENCE},
    program::{Program, Settings, TOKEN},
};

const FIRST: &str = "upstreams:\n- name: shop\n  url: http://127.0.0.1:9\n\
                     routes:\n- id: shop\n  path: /shop/*\n  upstream: shop\n  timeout: 5s\n";

/// An admin process with this file, on a log of its own.
async fn with_file(folder: &Path, text: &str) -> Settings {
    with_file_and_log(folder, text).await.0
}

/// The same, and its log.
async fn with_file_and_log(folder: &Path, text: &str) -> (Settings, JetStreamLog) {
    let nats = Nats::shared_url().await;
    let prefix = fixtures::prefix();
    let names = Names::new(&prefix).unwrap();
    let link = fixtures::provisioned(nats, &names).await;
    let log = JetStreamLog::new(link, &names);
    let file = folder.join("proxy.yml");
    fs::write(&file, text).unwrap();
    let settings = Settings::new("admin", folder, (nats, &prefix));
    (settings.with("FLEXGATE_CONFIG", file.display().to_string()), log)
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let look = async {
        while !is_so().await {
            sleep(LOOK_AGAIN).await;
        }
    };
    timeout(PATIENCE, look).await.expect(what);
}

async fn timeout_of(api: &Admin, id: &str) -> Option<Value> {
    let answer = api.call(Method::GET, &format!("/api/routes/{id}"), None).await;
    answer.json().get("timeout").cloned()
}

async fn revision(api: &Admin) -> u64 {
    let answer = api.call(Method::GET, "/api/routes", None).await;
    answer.headers["flexgate-revision"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// The same, running, with [`FIRST`] applied.
async fn with_first_applied(folder: &Path) -> (Settings, Program, Admin) {
    let settings = with_file(folder, FIRST).await;
    let program = settings.start();
    let api = settings.api().await;
    until("the file", async || {
        timeout_of(&api, "shop").await == Some(json!(5000))
    })
    .await;
    (settings, program, api)
}

/// As editors and Kubernetes do it: another file takes the name.
fn replace(folder: &Path, text: &str) {
    fs::write(folder.join("new"), text).unwrap();
    fs::rename(folder.join("new"), folder.join("proxy.yml")).unwrap();
}

async fn end(mut program: Program) {
    program.signal(Signal::TERM);
    program.ended().await;
}

#[tokio::test]
async fn a_restart_with_an_unchanged_file_changes_nothing_and_does_not_undo_a_fix_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, program, api) = with_first_applied(folder.path()).await;
    let fix = json!({ "timeout": "20s" });
    api.call(Method::PATCH, "/api/routes/shop", Some(fix)).await;
    let before = revision(&api).await;
    end(program).await;

    let program = settings.start();
    let api = settings.api().await;
    until("the log", async || revision(&api).await == before).await;
    // Another change of the file goes through, which shows that the first look at it is over.
    replace(
        folder.path(),
        &format!("{FIRST}- id: cart\n  path: /cart\n  upstream: shop\n"),
    );
    until("the change", async || {
        api.call(Method::GET, "/api/routes/cart", None).await.status == 200
    })
    .await;
    assert_eq!(revision(&api).await, before + 1);
    assert_eq!(timeout_of(&api, "shop").await, Some(json!(20000)));
    end(program).await;
}

#[tokio::test]
async fn a_file_that_becomes_invalid_or_a_conflict_changes_nothing_and_raises_an_alert() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, program, api) = with_first_applied(folder.path()).await;
    let before = revision(&api).await;
    let alerts = async || {
        settings
            .metric("flexgate_alerts_total{type=\"config.rejected\"}")
            .await
    };

    replace(folder.path(), "routes: [{path: /x, upstraem: y}]\n");
    until("an alert", async || alerts().await == 1).await;
    assert_eq!(revision(&api).await, before);

    let fix = json!({ "timeout": "20s" });
    api.call(Method::PATCH, "/api/routes/shop", Some(fix)).await;
    replace(folder.path(), &FIRST.replace("5s", "7s"));
    until("another one", async || alerts().await == 2).await;
    assert_eq!(timeout_of(&api, "shop").await, Some(json!(20000)));

    // In line with what was done by hand, and then with another change: both go through.
    replace(folder.path(), &FIRST.replace("5s", "20s").replace(":9", ":8"));
    until("the file", async || {
        let answer = api.call(Method::GET, "/api/upstreams/shop", None).await;
        answer.json()["url"] == "http://127.0.0.1:8"
    })
    .await;
    end(program).await;
}

#[tokio::test]
async fn a_bad_file_ends_a_first_start_and_leaves_a_later_one_with_what_is_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let settings = with_file(folder.path(), "routes: [{path: /x, upstraem: y}]\n").await;
    let (status, said) = settings.run_to_its_end().await;
    assert_eq!(status.code(), Some(3), "{said}");
    assert!(
        said.contains("did you mean `upstream`?") && said.contains("proxy.yml:1:"),
        "{said}"
    );

    fs::write(folder.path().join("proxy.yml"), FIRST).unwrap();
    let program = settings.start();
    let api = settings.api().await;
    until("the file", async || {
        timeout_of(&api, "shop").await == Some(json!(5000))
    })
    .await;
    end(program).await;

    fs::write(
        folder.path().join("proxy.yml"),
        "routes: [{path: /x, upstraem: y}]\n",
    )
    .unwrap();
    let program = settings.start();
    let api = settings.api().await;
    until("what is in the log", async || {
        timeout_of(&api, "shop").await == Some(json!(5000))
    })
    .await;
    fs::write(folder.path().join("proxy.yml"), FIRST.replace("5s", "6s")).unwrap();
    until("the mended file", async || {
        timeout_of(&api, "shop").await == Some(json!(6000))
    })
    .await;
    end(program).await;
}

#[tokio::test]
async fn a_pipeline_checks_compares_and_applies_and_hears_of_drift_by_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let nats = Nats::shared_url().await;
    let prefix = fixtures::prefix();
    fixtures::provisioned(nats, &Names::new(&prefix).unwrap()).await;
    let settings = Settings::new("admin", folder.path(), (nats, &prefix));
    let program = settings.start();
    settings.api().await;
    let work = tempfile::tempdir().unwrap();
    let done = tokio::process::Command::new("bash")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/files/gitops.sh"))
        .current_dir(work.path())
        .env("FLEXGATE", env!("CARGO_BIN_EXE_flexgate"))
        .env("FLEXGATE_ADMIN_ADDR", settings.admin.to_string())
        .env("FLEXGATE_ADMIN_TOKEN", TOKEN)
        .kill_on_drop(true)
        .output();
    let done = timeout(6 * PATIENCE, done).await.expect("its end").unwrap();
    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
    end(program).await;
}

//! The other doors: the command line, and the file.

use std::{fs, path::Path, process::Output};

use serde_json::{Value, json};
use tokio::process::Command;

use super::Running;
use crate::program::TOKEN;

const FIRST: &str = "upstreams:\n- name: shop\n  url: http://127.0.0.1:9\n\
                     routes:\n- id: cart\n  path: /cart/*\n  upstream: shop\n";

/// Runs the command line against a process, in a folder.
async fn flexgate(running: &Running, folder: &Path, words: &[&str]) -> Output {
    let program = Command::new(env!("CARGO_BIN_EXE_flexgate"))
        .args(words)
        .current_dir(folder)
        .env_clear()
        .env("FLEXGATE_ADMIN_ADDR", running.settings.admin.to_string())
        .env("FLEXGATE_ADMIN_TOKEN", TOKEN)
        .kill_on_drop(true)
        .output();
    program.await.unwrap()
}

fn agent() -> Value {
    json!(format!("flexgate-cli/{}", env!("CARGO_PKG_VERSION")))
}

#[tokio::test]
async fn what_the_command_line_asks_for_is_found_with_its_name() {
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let running = Running::start(folder.path(), |settings| settings).await;
    let ask = async |words: &[&str], code: i32| {
        let done = flexgate(&running, home.path(), words).await;
        assert_eq!(done.status.code(), Some(code), "{words:?} {done:?}");
    };
    fs::write(home.path().join("shop.yml"), FIRST).unwrap();
    ask(&["apply", "shop.yml", "--reason", "ticket 42"], 0).await;
    ask(&["routes", "disable", "cart"], 0).await;
    ask(&["upstreams", "delete", "shop"], 5).await;
    // Somebody else has changed it: the file is refused.
    fs::write(home.path().join("shop.yml"), FIRST.replace("/cart/*", "/carts/*")).unwrap();
    ask(&["apply", "shop.yml"], 5).await;

    let [conflict, in_use, disabled, applied] =
        <[Value; 4]>::try_from(running.entries("text=flexgate-cli", 4).await).unwrap();
    for entry in [&conflict, &in_use, &disabled, &applied] {
        let metadata = &entry["metadata"];
        assert_eq!(
            (&metadata["agent"], &metadata["actor"], &metadata["address"]),
            (&agent(), &json!("admin"), &json!("127.0.0.1"))
        );
    }
    assert_eq!(applied["message"], "File shop.yml applied: 2 changes");
    assert_eq!(
        (&applied["metadata"]["source"], &applied["metadata"]["reason"]),
        (&json!("file"), &json!("ticket 42"))
    );
    assert_eq!(disabled["metadata"]["changes"][0]["before"]["path"], "/cart/*");
    assert_eq!(
        in_use["message"],
        "DELETE /api/upstreams/shop refused: upstream_in_use"
    );
    assert_eq!(
        conflict["message"],
        "POST /api/config/apply refused: file_conflict"
    );
    assert_eq!(conflict["metadata"]["file"], "shop.yml");
}

#[tokio::test]
async fn what_a_file_does_and_does_not_do_is_found_with_where_it_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.yml");
    fs::write(&file, FIRST).unwrap();
    let path = file.display().to_string();
    let running = Running::start(folder.path(), |settings| settings.with("FLEXGATE_CONFIG", &*path)).await;
    let applied = running.entry("source=file").await;
    assert!(
        applied["message"]
            .as_str()
            .unwrap()
            .ends_with("applied: 2 changes"),
        "{applied}"
    );
    assert_eq!(applied["metadata"]["actor"], "flexgate");

    let secret = "correct-horse";
    let broken = FIRST.replace("http://127.0.0.1:9", secret) + "what: is this\n";
    fs::write(folder.path().join("new"), broken).unwrap();
    fs::rename(folder.path().join("new"), &file).unwrap();
    let rejected = running.entries("source=file", 2).await.remove(0);
    let metadata = &rejected["metadata"];
    assert_eq!(
        rejected["message"],
        format!("File {path} rejected: invalid, 2 mistakes, at 3:8")
    );
    assert_eq!(
        (&rejected["level"], &metadata["actor"], &metadata["code"]),
        (&json!("warn"), &json!("flexgate"), &json!("invalid"))
    );
    assert!(
        !rejected.to_string().contains(secret),
        "what stands in a file is not told"
    );
}

#[tokio::test]
async fn a_file_that_keeps_a_process_from_starting_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), |settings| settings).await;
    let (bad, other) = (folder.path().join("bad.yml"), tempfile::tempdir().unwrap());
    fs::write(&bad, "routes: [{path: /x, upstraem: y}]\n").unwrap();
    let settings = crate::program::Settings::new("admin", other.path(), (running.nats, &running.prefix));
    let settings = settings.with("FLEXGATE_CONFIG", bad.display().to_string());
    let (ended, said) = settings.run_to_its_end().await;
    assert_eq!(ended.code(), Some(3), "{said}");
    let rejected = running.entry("source=file").await;
    let message = rejected["message"].as_str().unwrap();
    assert!(
        message.starts_with(&format!("File {} rejected: invalid", bad.display())),
        "{message}"
    );
}

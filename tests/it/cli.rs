//! The program as scripts see it: its words, and its exit codes.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use flexgate::{devstack::free_port, journal::jetstream::Names};

use crate::fixtures::{self, Nats};

mod doctor;
mod logs;
mod secrets;
mod shown;

/// Runs the program in a folder, with nothing in its environment.
fn flexgate(folder: &Path, words: &str) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_flexgate"));
    program
        .args(words.split_whitespace())
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap()
}

fn check(folder: &Path, words: &str, code: i32) -> (String, String) {
    let done = flexgate(folder, words);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(done.stdout), text(done.stderr));
    assert_eq!(done.status.code(), Some(code), "{words}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

#[test]
fn the_command_line_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let (help, _) = check(folder.path(), "--help", 0);
    for command in [
        "up",
        "down",
        "serve",
        "status",
        "check",
        "diff",
        "export",
        "history",
        "apply",
        "routes",
        "upstreams",
        "secrets",
        "events",
        "nodes",
        "migrate",
        "sql",
        "verify",
        "doctor",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}\n{help}");
    }
    let (version, _) = check(folder.path(), "version", 0);
    assert_eq!(version.trim(), env!("CARGO_PKG_VERSION"));
    for words in [
        "",
        "fly",
        "routes",
        "apply",
        "status --output xml",
        "events tail --from yesterday",
    ] {
        let (stdout, stderr) = check(folder.path(), words, 2);
        assert!(
            stdout.is_empty() && (stderr.contains("--help") || stderr.contains("Usage")),
            "{words}\n{stderr}"
        );
    }
}

#[test]
fn a_valid_file_is_said_to_be_valid_with_what_nothing_acts_on_yet() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let (stdout, stderr) = check(&readme, "check minimal.yml", 0);
    assert_eq!(stdout, "minimal.yml is valid: 1 upstream, 1 route, 0 warnings\n");
    assert!(stderr.is_empty(), "{stderr}");

    let (stdout, stderr) = check(&readme, "check full.yml", 0);
    assert!(
        stdout.starts_with("full.yml is valid: 2 upstreams, 2 routes"),
        "{stdout}"
    );
    assert!(stderr.contains("[full.yml:31:10]"), "{stderr}");
}

#[test]
fn a_path_in_the_syntax_of_others_is_pointed_at() {
    let folder = tempfile::tempdir().unwrap();
    let text = "routes:\n  - path: /users/{id}\n    upstream: http://users\n";
    fs::write(folder.path().join("proxy.yml"), text).unwrap();
    let (stdout, stderr) = check(folder.path(), "check proxy.yml", 0);
    assert!(stdout.contains("1 route, 1 warning"), "{stdout}");
    assert!(
        stderr.contains("proxy.yml:2:11") && stderr.contains("is written") && stderr.contains("`:id`"),
        "{stderr}"
    );
}

#[test]
fn every_option_is_shown_with_its_value_and_where_that_comes_from_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = "proxy: {host: 0.0.0.0}\nrateLimit: {redis: {url: 'redis://me:hunter2@cache:6379'}}\nlogging: {level: debug}\n";
    fs::write(folder.path().join("proxy.yml"), file).unwrap();
    let dotenv =
        "PORT=3000\nFLEXGATE_ADMIN_TOKEN=correct-horse-battery\nDATABASE_URL=postgresql://me:hunter2@db/x\n";
    fs::write(folder.path().join(".env"), dotenv).unwrap();
    let (stdout, stderr) = check(folder.path(), "config --effective --config proxy.yml -o json", 0);
    assert!(
        stderr.contains("the admin API moved to 127.0.0.1:3001"),
        "{stderr}"
    );
    assert!(
        !stdout.contains("hunter2") && !stdout.contains("horse"),
        "{stdout}"
    );
    let options: Vec<serde_json::Value> = serde_json::from_str(&stdout).unwrap();
    for (name, value, from) in [
        ("FLEXGATE_CONFIG", "proxy.yml", "--config"),
        ("FLEXGATE_PROXY_ADDR", "0.0.0.0:3000", "PORT in .env, line 1"),
        (
            "FLEXGATE_ADMIN_ADDR",
            "127.0.0.1:3001",
            "moved, out of the proxy's way",
        ),
        (
            "FLEXGATE_ADMIN_TOKEN",
            "***",
            "FLEXGATE_ADMIN_TOKEN in .env, line 2",
        ),
        (
            "DATABASE_URL",
            "postgresql://***@db/x",
            "DATABASE_URL in .env, line 3",
        ),
        (
            "REDIS_URL",
            "redis://***@cache:6379",
            "rateLimit.redis in proxy.yml",
        ),
        ("FLEXGATE_LOG", "debug", "logging.level in proxy.yml"),
        ("FLEXGATE_DATA_DIR", ".flexgate", "default"),
    ] {
        let option = options.iter().find(|option| option["name"] == name).unwrap();
        assert_eq!(
            (&option["value"], &option["from"]),
            (&value.into(), &from.into()),
            "{name}"
        );
    }
}

#[test]
fn a_beginning_is_written_once_and_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let (stdout, stderr) = check(folder.path(), "init here", 0);
    assert!(
        stdout.contains("here/proxy.yml is written") && stderr.contains("next: "),
        "{stdout}{stderr}"
    );
    let here = folder.path().join("here");
    let (stdout, _) = check(&here, "check proxy.yml", 0);
    assert!(stdout.ends_with("1 upstream, 1 route, 0 warnings\n"), "{stdout}");
    let mode = fs::metadata(here.join(".env")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    check(&here, "config --effective", 0);

    fs::write(here.join("proxy.yml"), "# mine\n").unwrap();
    let (stdout, _) = check(&here, "init", 0);
    assert!(
        stdout.contains("proxy.yml is there already, and stays as it is"),
        "{stdout}"
    );
    assert_eq!(fs::read_to_string(here.join("proxy.yml")).unwrap(), "# mine\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_on_a_stream_is_shown_from_a_sequence_from_a_time_and_at_the_end() {
    let nats = Nats::shared_url().await;
    let prefix = fixtures::prefix();
    let names = Names::new(&prefix).unwrap();
    let link = fixtures::provisioned(nats, &names).await;
    for number in 1..=3 {
        let body = format!(r#"{{"number":{number}}}"#);
        let sent = link
            .jetstream()
            .publish(names.alert_subject("test"), body.into())
            .await
            .unwrap();
        sent.await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let dotenv = format!(
        "FLEXGATE_STREAM_PREFIX={}\nNATS_URL={nats}\n",
        prefix.to_uppercase()
    );
    fs::write(folder.path().join(".env"), dotenv).unwrap();
    let shown = |words: &str| -> Vec<serde_json::Value> {
        let (stdout, _) = check(
            folder.path(),
            &format!("events show --stream alerts -o json {words}"),
            0,
        );
        stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let numbers = |words: &str| -> Vec<u64> {
        shown(words)
            .iter()
            .map(|one| one["data"]["number"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(numbers("--from 2"), [2, 3]);
    assert_eq!(numbers("--from 1 --limit 1"), [1]);
    assert_eq!(numbers("--limit 2"), [2, 3]);
    assert_eq!(numbers("--from 2020-01-01T00:00:00Z"), [1, 2, 3]);
    assert_eq!(numbers("--from 9"), [0; 0]);
    let second = shown("--from 2 --limit 1")[0]["storedAt"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(numbers(&format!("--from {second}")).ends_with(&[3]));
    let (stdout, _) = check(folder.path(), "events show --stream config", 0);
    assert_eq!(stdout, "");
    check(folder.path(), "events show --from yesterday", 2);
}

#[test]
fn shells_and_man_are_told_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let (script, _) = check(folder.path(), &format!("completions {shell}"), 0);
        assert!(
            script.contains("upstreams") && script.contains("doctor"),
            "{shell}"
        );
    }
    check(folder.path(), "man pages", 0);
    for page in ["flexgate", "flexgate-routes-create", "flexgate-doctor"] {
        let text = fs::read_to_string(folder.path().join(format!("pages/{page}.1"))).unwrap();
        assert!(text.contains(".SH NAME"), "{page}");
    }
}

#[test]
fn schemas_are_printed_as_json_and_as_yaml() {
    let folder = tempfile::tempdir().unwrap();
    for (what, key) in [
        ("config", "$id"),
        ("events", "$id"),
        ("openapi", "openapi"),
        ("asyncapi", "asyncapi"),
    ] {
        let (json, _) = check(folder.path(), &format!("schema {what}"), 0);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(json[key].is_string(), "{what}");
        let (yaml, _) = check(folder.path(), &format!("schema {what} -o yaml"), 0);
        let yaml: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(yaml, json, "{what}");
    }
}

#[test]
fn the_samples_are_valid() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    for sample in ["proxy", "production"] {
        let (stdout, _) = check(repository, &format!("check config/{sample}.yml"), 0);
        assert!(stdout.ends_with(" 0 warnings\n"), "{stdout}");
    }
}

#[test]
fn a_program_reads_findings_as_json() {
    let mistakes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/mistakes");
    let (stdout, _) = check(&mistakes, "check unknown-upstream.yml -o json", 3);
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["valid"], false);
    assert_eq!(report["findings"][0]["place"]["line"], 8);
    assert_eq!(report["findings"][0]["place"]["column"], 15);
}

#[test]
fn an_invalid_file_is_not_sent_and_a_missing_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("bad.yml"),
        "routes:\n- path: x\n  upstream: a\n",
    )
    .unwrap();
    let (_, stderr) = check(folder.path(), "apply bad.yml", 3);
    assert!(stderr.contains("[bad.yml:2:9]"), "{stderr}");
    let (_, stderr) = check(folder.path(), "check none.yml", 3);
    assert!(stderr.contains("none.yml: No such file"), "{stderr}");
}

#[test]
fn without_a_running_process_clients_say_where_they_looked() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port().unwrap();
    fs::write(
        folder.path().join("ok.yml"),
        "upstreams: [{name: a, url: 'http://a'}]\n",
    )
    .unwrap();
    for words in [
        "status",
        "routes list",
        "routes delete r",
        "upstreams create a --url http://a",
        "nodes list",
        "events tail",
        "apply ok.yml",
    ] {
        let (_, stderr) = check(folder.path(), &format!("{words} --admin 127.0.0.1:{port}"), 4);
        assert!(
            stderr.contains(&format!("127.0.0.1:{port} cannot be reached")),
            "{words}\n{stderr}"
        );
        assert!(stderr.contains("next: "), "{words}\n{stderr}");
    }
}

#[test]
fn a_client_finds_the_process_of_its_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port().unwrap();
    let record = format!(r#"{{"admin":"127.0.0.1:{port}","proxy":"127.0.0.1:1","pid":1}}"#);
    fs::write(folder.path().join("run.json"), record).unwrap();
    let (_, stderr) = check(folder.path(), "status --data-dir .", 4);
    assert!(stderr.contains(&format!("127.0.0.1:{port}")), "{stderr}");
}

#[test]
fn settings_in_a_dotenv_file_count_and_mistakes_in_them_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port().unwrap();
    fs::write(
        folder.path().join(".env"),
        format!("FLEXGATE_ADMIN_ADDR={port}\n"),
    )
    .unwrap();
    let (_, stderr) = check(folder.path(), "status", 4);
    assert!(stderr.contains(&port.to_string()), "{stderr}");

    fs::write(folder.path().join(".env"), "FLEXGATE_ADMIN_ADDR=there\n\nPORT\n").unwrap();
    let (_, stderr) = check(folder.path(), "status", 3);
    assert!(stderr.contains("FLEXGATE_ADMIN_ADDR in .env, line 1"), "{stderr}");
    assert!(stderr.contains(".env, line 3"), "{stderr}");
}

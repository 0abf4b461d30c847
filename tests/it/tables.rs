//! The commands about the tables: making them, asking them, holding them against what was recorded.

use std::{
    path::Path,
    process::{Command, Output},
};

use flexgate_schemas::frame::Delivered;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

use crate::{
    fixtures::{self, Nats, Postgres},
    outcomes::{
        database::Database,
        frames::{Core, delivered, plain},
    },
};

/// The program in a folder of its own, with servers in its environment.
struct Shell {
    folder: TempDir,
    servers: Vec<(&'static str, String)>,
}

impl Shell {
    fn with(servers: Vec<(&'static str, String)>) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            servers,
        }
    }

    fn run(&self, words: &[&str]) -> Output {
        flexgate(self.folder.path(), words)
            .envs(self.servers.iter().cloned())
            .output()
            .unwrap()
    }

    /// What it printed, if it ended with this code.
    fn check(&self, words: &[&str], code: i32) -> (String, String) {
        let done = self.run(words);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(done.stdout), text(done.stderr));
        assert_eq!(done.status.code(), Some(code), "{words:?}\n{stdout}\n{stderr}");
        (stdout, stderr)
    }
}

fn flexgate(folder: &Path, words: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_flexgate"));
    program.args(words).current_dir(folder).env_clear();
    program
}

async fn execute(url: &str, sql: String) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn migrations_run_once() {
    let shell = Shell::with(vec![("DATABASE_URL", Postgres::empty_database().await)]);

    let (_, stderr) = shell.check(&["sql", "-c", "SELECT * FROM requests"], 1);
    assert!(stderr.contains("\"requests\" does not exist"), "{stderr}");
    let (stdout, _) = shell.check(&["migrate"], 0);
    assert!(
        stdout.starts_with("ran 0001_configuration\nran 0002_outcomes\n"),
        "{stdout}"
    );
    let (stdout, _) = shell.check(&["migrate"], 0);
    assert_eq!(stdout, "nothing is missing\n");
    let (stdout, _) = shell.check(&["sql", "-c", "SELECT * FROM requests"], 0);
    assert_eq!(stdout, "0 rows\n");
}

#[tokio::test]
async fn a_query_answers_whatever_its_columns_are() {
    let shell = Shell::with(vec![("DATABASE_URL", Postgres::database().await)]);
    let query = "SELECT 1 AS one, NULL::inet AS none, '10.0.0.1'::inet AS address, true AS yes, \
        interval '90 s' AS span, ARRAY[1,2] AS list, current_schema() AS place";
    let (stdout, _) = shell.check(&["sql", "-c", query], 0);
    let lines: Vec<Vec<&str>> = stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines,
        [
            vec!["one", "none", "address", "yes", "span", "list", "place"],
            vec!["1", "10.0.0.1", "t", "00:01:30", "{1,2}", "flexgate"],
        ]
    );
    let (stdout, _) = shell.check(&["sql", "-o", "json", "-c", query], 0);
    let rows: Value = serde_json::from_str(&stdout).unwrap();
    let expected = json!([{
        "one": 1, "none": null, "address": "10.0.0.1", "yes": true,
        "span": "00:01:30", "list": "{1,2}", "place": "flexgate",
    }]);
    assert_eq!(rows, expected);

    let touching = "CREATE TEMPORARY TABLE t (n int); INSERT INTO t VALUES (1), (2); SELECT n FROM t";
    let (stdout, _) = shell.check(&["sql", "-c", touching], 0);
    let lines: Vec<_> = stdout.lines().map(str::trim).collect();
    assert_eq!(lines, ["0 rows", "2 rows", "n", "1", "2"]);
}

#[tokio::test]
async fn a_wrong_query_is_pointed_at() {
    let shell = Shell::with(vec![("DATABASE_URL", Postgres::database().await)]);
    let (stdout, stderr) = shell.check(&["sql", "-c", "SELECT stats FROM flexgate.requests"], 1);
    assert!(stdout.is_empty(), "{stdout}");
    assert!(
        stderr.contains("column \"stats\" does not exist (at character 8)"),
        "{stderr}"
    );
    assert!(stderr.contains("next: Perhaps you meant"), "{stderr}");
}

#[tokio::test]
async fn psql_gets_its_password_where_nobody_sees_it() {
    let shell = Shell::with(vec![("DATABASE_URL", Postgres::database().await)]);
    let folder = shell.folder.path();
    let script = "#!/bin/sh\nprintf '%s\\n' \"$@\" \"$PGOPTIONS\" \"password $PGPASSWORD\"\nexit 3\n";
    std::fs::write(folder.join("psql"), script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.join("psql"), executable).unwrap();

    let done = flexgate(folder, &["sql", "--", "--csv"])
        .envs(shell.servers.iter().cloned())
        .env("PATH", folder)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(3), "the exit code is psql's");
    let stdout = String::from_utf8(done.stdout).unwrap();
    let lines: Vec<_> = stdout.lines().collect();
    let [dbname, url, csv, options, password] = lines.as_slice() else {
        panic!("{stdout}")
    };
    assert_eq!((*dbname, *csv), ("--dbname", "--csv"));
    assert_eq!(*options, "-c search_path=flexgate,public");
    let password = password.strip_prefix("password ").unwrap();
    assert!(!password.is_empty() && !url.contains(password), "{url}");
    assert!(shell.servers[0].1.contains(password));
}

#[test]
fn without_servers_each_command_says_what_to_do() {
    let shell = Shell::with(Vec::new());
    for words in [
        &["migrate"][..],
        &["sql", "-c", "SELECT 1"],
        &["verify", "outcomes"],
    ] {
        let (_, stderr) = shell.check(words, 4);
        assert!(
            stderr.contains("DATABASE_URL is not set, and no `flexgate up` runs"),
            "{words:?}\n{stderr}"
        );
    }
    let shell = Shell::with(vec![(
        "DATABASE_URL",
        "postgres://me:hunter2@127.0.0.1:1/flexgate".to_owned(),
    )]);
    for words in [&["migrate"][..], &["sql", "-c", "SELECT 1"]] {
        let (_, stderr) = shell.check(words, 4);
        assert!(
            stderr.contains("next: start it, or correct DATABASE_URL"),
            "{words:?}\n{stderr}"
        );
        assert!(!stderr.contains("hunter2"), "{stderr}");
    }
}

#[tokio::test]
async fn outcomes_that_are_all_there_differ_in_nothing_and_others_are_named() {
    let (nats, names) = (Nats::shared_url().await, fixtures::prefix());
    let provisioned = flexgate::journal::jetstream::Names::new(&names).unwrap();
    fixtures::provisioned(nats, &provisioned).await;
    let database = Database::new().await;
    let shell = Shell::with(vec![
        ("NATS_URL", nats.to_owned()),
        ("DATABASE_URL", database.url.clone()),
        ("FLEXGATE_STREAM_PREFIX", names),
    ]);
    let (stdout, _) = shell.check(&["verify", "outcomes"], 0);
    assert!(stdout.ends_with("\n\nno differences\n"), "{stdout}");

    let mut core = Core::of_boot("b1");
    let outcomes = core.numbered(&[plain(), plain(), plain()]);
    let messages: Vec<Delivered> = delivered(vec![core.seal(&outcomes)]);
    database.project(messages, false).await.unwrap();
    let (stdout, _) = shell.check(&["verify", "outcomes", "-o", "json"], 0);
    let verdict: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(verdict["whereabouts"]["recorded"], 3);
    assert_eq!(verdict["whereabouts"]["applied"], 3);
    assert_eq!(verdict["differences"], json!([]));

    execute(&database.url, "DELETE FROM flexgate.rollup_weekly".to_owned()).await;
    let (stdout, _) = shell.check(&["verify", "outcomes"], 7);
    assert!(
        stdout.contains("\nwhat differs:\n") && stdout.contains("requests by week: 3 and 0"),
        "{stdout}"
    );
}

#[tokio::test]
async fn the_servers_of_a_running_up_are_found_in_its_data_folder() {
    let postgres = Postgres::start().await;
    let shell = Shell::with(Vec::new());
    let folder = postgres.data_dir().to_str().unwrap().to_owned();
    let ports = json!({ "postgres": postgres.server.port() }).to_string();
    std::fs::write(Path::new(&folder).join("ports.json"), ports).unwrap();
    let query = ["sql", "--data-dir", &folder, "-c", "SELECT 6 * 7 AS answer"];
    let (stdout, _) = shell.check(&query, 0);
    assert!(stdout.contains("42"), "{stdout}");

    postgres.server.stop().await;
    let (_, stderr) = shell.check(&query, 4);
    assert!(stderr.contains("no `flexgate up` runs one in"), "{stderr}");
}

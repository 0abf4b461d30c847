//! `flexgate logs`: what `up` writes beside its stderr, and how it is followed.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use flexgate::devstack::free_port;
use rustix::process::Signal;
use tokio::time::{sleep, timeout};

use super::check;
use crate::{
    fixtures::{LOOK_AGAIN, PATIENCE, binaries},
    program::Program,
};

#[test]
fn the_last_lines_of_a_log_are_shown_and_where_there_is_none_that_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let (_, stderr) = check(folder.path(), "logs", 6);
    assert!(
        stderr.contains(".flexgate/log/flexgate.log") && stderr.contains("next: "),
        "{stderr}"
    );
    let logs = folder.path().join(".flexgate/log");
    fs::create_dir_all(&logs).unwrap();
    let lines: Vec<String> = (0..100).map(|number| format!("line {number}")).collect();
    fs::write(logs.join("flexgate.log"), lines.join("\n")).unwrap();
    fs::write(logs.join("nats.log"), "of nats\n").unwrap();
    assert_eq!(check(folder.path(), "logs -n 2", 0).0, "line 98\nline 99\n");
    assert_eq!(check(folder.path(), "logs nats", 0).0, "of nats\n");
}

#[test]
fn what_is_written_from_now_on_is_followed_also_into_the_next_file() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join(".flexgate/log");
    let log = logs.join("flexgate.log");
    fs::create_dir_all(&logs).unwrap();
    fs::write(&log, "before\n").unwrap();
    let mut following = Program(
        Command::new(env!("CARGO_BIN_EXE_flexgate"))
            .args(["logs", "--follow"])
            .current_dir(folder.path())
            .env_clear()
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let stdout = BufReader::new(following.0.stdout.take().unwrap());
    let (said, lines) = mpsc::channel();
    let reading = thread::spawn(move || {
        for line in stdout.lines() {
            said.send(line.unwrap()).unwrap();
        }
    });
    let next = || lines.recv_timeout(PATIENCE).expect("a line");
    assert_eq!(next(), "before");
    let mut file = OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(b"now\nand now\n").unwrap();
    assert_eq!([next(), next()], ["now", "and now"]);
    // As a start does it, and a log that became too long.
    fs::rename(&log, log.with_extension("log.old")).unwrap();
    File::create(&log).unwrap().write_all(b"of the next\n").unwrap();
    assert_eq!(next(), "of the next");
    following.signal(Signal::INT);
    assert_eq!(following.0.wait().unwrap().code(), Some(130));
    reading.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn up_writes_what_it_logs_into_its_data_folder_too() {
    let folder = tempfile::tempdir().unwrap();
    let [proxy, admin] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port().unwrap()));
    let nats = binaries().nats().await.unwrap();
    let up = Command::new(env!("CARGO_BIN_EXE_flexgate"))
        .args(["up", "--proxy-addr", &proxy, "--admin-addr", &admin])
        .current_dir(folder.path())
        .env_clear()
        .env("FLEXGATE_NATS_BIN", nats)
        .env("FLEXGATE_DRAIN_DELAY", "0s")
        // Nothing that this test is about needs them.
        .env("DATABASE_URL", "postgres://127.0.0.1:1/flexgate")
        .env("REDIS_URL", "redis://127.0.0.1:1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut up = Program(up);
    let log = folder.path().join(".flexgate/log/flexgate.log");
    let started = async {
        while !fs::read_to_string(&log).is_ok_and(|text| text.contains(" started ")) {
            sleep(LOOK_AGAIN).await;
        }
    };
    assert!(
        timeout(PATIENCE, started).await.is_ok(),
        "{:?}",
        fs::read_to_string(&log)
    );
    let (shown, _) = check(folder.path(), "logs -n 500", 0);
    assert!(shown.contains(" started ") && shown.contains("roles="), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours in a file: {shown}");
    up.signal(Signal::TERM);
    assert_eq!(up.ended().await.code(), Some(0));
}

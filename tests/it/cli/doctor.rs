//! `flexgate doctor`: what is wrong, and what of it is safe to mend.

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
};

use flexgate::devstack::free_port;

use super::check;
use crate::fixtures::{self, Nats, Postgres};

#[test]
fn the_doctor_names_what_is_wrong_and_how_to_mend_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("admin-token"), "correct-horse-battery\n").unwrap();
    fs::set_permissions(data.join("admin-token"), Permissions::from_mode(0o644)).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let dotenv = format!(
        "FLEXGATE_DATA_DIR=data\nFLEXGATE_PROXY_ADDR={port}\nFLEXGATE_ADMIN_ADDR={}\n",
        free_port().unwrap()
    );
    fs::write(folder.path().join(".env"), &dotenv).unwrap();
    let (stdout, _) = check(folder.path(), "doctor", 1);
    assert!(
        stdout.contains("FAIL  admin token") && stdout.contains("chmod 600 data/admin-token"),
        "{stdout}"
    );
    assert!(
        stdout.contains(&format!("FAIL  proxy port  127.0.0.1:{port} is taken")),
        "{stdout}"
    );
    assert!(stdout.contains("OK    data folder"), "{stdout}");
    assert!(!stdout.contains("horse"), "{stdout}");

    let unreachable = format!(
        "{dotenv}NATS_URL=nats://me:hunter2@127.0.0.1:{}\n",
        free_port().unwrap()
    );
    fs::write(folder.path().join(".env"), unreachable).unwrap();
    let (stdout, _) = check(folder.path(), "doctor", 4);
    assert!(
        stdout.contains("FAIL  NATS        nats://***@127.0.0.1"),
        "{stdout}"
    );
    assert!(!stdout.contains("hunter2"), "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_mends_what_is_safe_to_mend_and_says_so() {
    let nats = Nats::shared_url().await;
    let folder = tempfile::tempdir().unwrap();
    let dotenv = format!(
        "FLEXGATE_STREAM_PREFIX={}\nNATS_URL={nats}\nFLEXGATE_DATA_DIR=data\nFLEXGATE_PROXY_ADDR={}\nFLEXGATE_ADMIN_ADDR={}\n",
        fixtures::prefix().to_uppercase(),
        free_port().unwrap(),
        free_port().unwrap()
    );
    fs::write(folder.path().join(".env"), dotenv).unwrap();
    let (stdout, _) = check(folder.path(), "doctor", 0);
    assert!(
        stdout.contains("WARN  streams") && stdout.contains("_CONFIG is not there"),
        "{stdout}"
    );

    let (stdout, stderr) = check(folder.path(), "doctor --fix", 0);
    assert!(
        stderr.contains("mended: the data folder data is made"),
        "{stderr}"
    );
    assert!(stderr.contains("mended: these streams are made"), "{stderr}");
    assert!(
        !stdout.contains("is not there\n") && stdout.contains("_ROLLUPS has 0 messages"),
        "{stdout}"
    );
    assert!(
        stdout.contains("OK    clock") && stdout.contains("disk "),
        "{stdout}"
    );

    let token = folder.path().join("data/admin-token");
    fs::write(&token, "correct-horse-battery\n").unwrap();
    fs::set_permissions(&token, Permissions::from_mode(0o644)).unwrap();
    check(folder.path(), "doctor", 1);
    let (_, stderr) = check(folder.path(), "doctor --fix", 0);
    assert!(stderr.contains("is closed to others"), "{stderr}");
    assert_eq!(fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);
    let (_, stderr) = check(folder.path(), "doctor --fix", 0);
    assert!(!stderr.contains("mended"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_missing_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let dotenv = format!(
        "DATABASE_URL={}\nFLEXGATE_PROXY_ADDR={}\nFLEXGATE_ADMIN_ADDR={}\n",
        Postgres::empty_database().await,
        free_port().unwrap(),
        free_port().unwrap()
    );
    fs::write(folder.path().join(".env"), dotenv).unwrap();
    let (_, stderr) = check(folder.path(), "doctor --fix", 0);
    assert!(
        stderr.contains("mended: these migrations ran: 0001_configuration, 0002_outcomes"),
        "{stderr}"
    );
    let (stdout, _) = check(folder.path(), "migrate", 0);
    assert_eq!(stdout, "nothing is missing\n");
    let (_, stderr) = check(folder.path(), "doctor --fix", 0);
    assert!(!stderr.contains("migrations ran"), "{stderr}");
}

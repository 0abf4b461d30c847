//! Secrets on the command line: sealed, and never shown.

use std::{
    fs::{self, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use flexgate::sealing::SealingKeys;
use flexgate_schemas::{Secret, secret::Purpose};

use super::check;

#[test]
fn a_secret_is_sealed_with_the_key_of_the_environment_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (key, _) = check(folder.path(), "secrets key", 0);
    let seal = |key: Option<&str>, words: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_flexgate"))
            .args(words.split_whitespace())
            .current_dir(folder.path())
            .env_clear()
            .envs(key.map(|key| ("FLEXGATE_SECRET_KEY", key)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = program.stdin.take().unwrap();
        stdin.write_all(b"Bearer hunter2\n").unwrap();
        drop(stdin);
        let done = program.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    };
    let keys = SealingKeys::read(&key).unwrap();
    for (words, purpose) in [
        ("secrets seal", Purpose::Upstream),
        ("secrets seal --for tokens", Purpose::Tokens),
        ("secrets seal --for signing:k1", Purpose::Signing("k1")),
    ] {
        let (code, stdout, stderr) = seal(Some(key.trim()), words);
        assert_eq!((code, &*stderr), (Some(0), ""));
        let Ok(Secret::Sealed(sealed)) = stdout.trim().parse() else {
            panic!("{stdout}");
        };
        assert_eq!(keys.open(&sealed, purpose).unwrap(), "Bearer hunter2");
    }
    let (code, stdout, stderr) = seal(None, "secrets seal");
    assert_eq!((code, &*stdout), (Some(3), ""));
    assert!(stderr.contains("flexgate secrets key"), "{stderr}");
}

#[test]
fn a_key_for_secrets_that_is_none_stops_a_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), "aGVsbG8=").unwrap();
    fs::set_permissions(folder.path().join("key"), Permissions::from_mode(0o600)).unwrap();
    fs::write(folder.path().join(".env"), "FLEXGATE_SECRET_KEY_FILE=key\n").unwrap();
    let (_, stderr) = check(
        folder.path(),
        "serve --role gateway --nats-url nats://127.0.0.1:1",
        3,
    );
    assert!(
        stderr.contains("key: a key has 32 bytes, this one has 5"),
        "{stderr}"
    );
    assert!(!stderr.contains("aGVsbG8"), "{stderr}");
}

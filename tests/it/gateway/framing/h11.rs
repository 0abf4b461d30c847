//! What h11 reads in the bytes of a case. It is written in Python, straight from the standard's grammar.

use std::{fmt::Write as _, path::Path, process::Stdio};

use tokio::{io::AsyncWriteExt as _, process::Command};

use super::{corpus::Case, play::Seen};

/// The requests that are read in each of the cases.
pub(super) async fn read(cases: &[Case]) -> Vec<Vec<Seen>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new("python3")
        .arg(root.join("tests/it/gateway/framing/read_by_h11.py"))
        .env("PYTHONPATH", root.join(".flexgate/python"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3, which `make test` needs");
    let lines: String = cases.iter().map(|case| hex(&case.sent) + "\n").collect();
    let mut stdin = python.stdin.take().unwrap();
    let (sent, output) = tokio::join!(
        async move { stdin.write_all(lines.as_bytes()).await },
        python.wait_with_output()
    );
    let output = output.unwrap();
    assert!(output.status.success(), "h11 is fetched by `make python`");
    sent.unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(requests)
        .collect()
}

fn requests(line: &str) -> Vec<Seen> {
    let requests: Vec<(String, String, String)> = serde_json::from_str(line).unwrap();
    requests
        .into_iter()
        .map(|(method, target, body)| Seen {
            method,
            target: in_origin_form(target),
            body: unhex(&body),
        })
        .collect()
}

/// h11 leaves targets as they are; an upstream is asked for a path.
fn in_origin_form(target: String) -> String {
    let lower = target.to_ascii_lowercase();
    let Some(rest) = ["http://", "https://"]
        .iter()
        .find_map(|scheme| lower.strip_prefix(scheme))
    else {
        return target;
    };
    let after_scheme = target.len() - rest.len();
    match rest.find(['/', '?']) {
        Some(end) if rest[end..].starts_with('/') => target[after_scheme + end..].to_owned(),
        Some(end) => format!("/{}", &target[after_scheme + end..]),
        None => "/".to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").unwrap();
        digits
    })
}

fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

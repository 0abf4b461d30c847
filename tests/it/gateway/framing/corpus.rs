//! The corpus: bytes that a client sends, and what must become of them.
//!
//! Cases stand in `corpus/*.txt`, apart by empty lines. A case is a title, and lines that begin with
//!
//! - `>` what is sent: the line and CRLF, or the line alone if it ends with `\`;
//! - `<` the statuses that are answered, and how it ends: `open`, where a further request on the connection is answered;
//!   `closed` by the gateway; or `waits` for more, and what is answered when nothing more comes, since the client ends
//!   its side;
//! - `=` one request that the upstream sees: method, target, body, in the order of their arrival;
//! - `~` who does not see these requests in the same bytes, and why ours are right all the same: `nginx: ...`.
//!
//! In sent lines, targets and bodies `\r`, `\n`, `\t`, `\0`, `\\` and `\x7f` stand for single bytes and `\[ab*3]` for
//! `ababab`. Lines that begin with `#` are comments.

use std::{fs, path::Path};

use super::play::{Ended, Played, Seen};

/// One case.
pub(super) struct Case {
    pub(super) title: String,
    pub(super) sent: Vec<u8>,
    pub(super) expected: Played,
    /// Who reads it otherwise.
    pub(super) exceptions: Vec<String>,
}

/// All cases, in the order of their files' names.
pub(super) fn corpus() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/gateway/framing/corpus");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().flat_map(|file| cases_of(file)).collect()
}

fn cases_of(file: &Path) -> Vec<Case> {
    let text = fs::read_to_string(file).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    lines
        .split(|line| line.is_empty())
        .filter(|lines| !lines.is_empty())
        .map(|lines| Case::of(file, lines))
        .collect()
}

impl Case {
    fn of(file: &Path, lines: &[&str]) -> Self {
        let mut case = Self {
            title: format!("{}: {}", file.file_stem().unwrap().display(), lines[0]),
            sent: Vec::new(),
            expected: Played::default(),
            exceptions: Vec::new(),
        };
        for line in &lines[1..] {
            let (mark, rest) = line.split_at(1);
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            match mark {
                ">" => match rest.strip_suffix('\\').filter(|line| !line.ends_with('\\')) {
                    Some(line) => case.sent.extend(bytes(line)),
                    None => case.sent.extend([&*bytes(rest), b"\r\n"].concat()),
                },
                "<" => (case.expected.answers, case.expected.ended) = answers(rest),
                "=" => case.expected.seen.push(seen(rest)),
                "~" => case.exceptions.push(rest.to_owned()),
                _ => panic!("{}: {line:?} begins with none of > < = ~", case.title),
            }
        }
        case
    }

    /// Whether it is known, and argued, that these readers see something else than ours.
    pub(super) fn excepts(&self, reader: &str) -> bool {
        let prefix = format!("{reader}: ");
        self.exceptions
            .iter()
            .any(|exception| exception.starts_with(&prefix))
    }

    /// Says how what became of it is not what must.
    pub(super) fn differs_from(&self, played: &Played) -> String {
        format!(
            "{}\n    must be {}\n    was     {played}",
            self.title, self.expected
        )
    }

    /// Says that somebody else sees other requests.
    pub(super) fn differs_from_what(&self, reader: &str, theirs: &[Seen]) -> String {
        let theirs: Vec<_> = theirs.iter().map(ToString::to_string).collect();
        format!(
            "{}\n    ours {}\n    {reader} sees {}",
            self.title,
            self.expected,
            theirs.join("; ")
        )
    }
}

fn answers(text: &str) -> (Vec<u16>, Ended) {
    let mut ended = None;
    let mut answers = Vec::new();
    for word in text.split(' ') {
        match word {
            "open" => ended = Some(Ended::Open),
            "closed" => ended = Some(Ended::Closed),
            "waits" => ended = Some(Ended::Waits { after: answers.len() }),
            status => answers.push(status.parse().expect("a status")),
        }
    }
    (answers, ended.expect("how it ends"))
}

fn seen(text: &str) -> Seen {
    let mut words = text.splitn(3, ' ').map(bytes);
    let mut word = || words.next().unwrap_or_default();
    Seen {
        method: String::from_utf8(word()).unwrap(),
        target: String::from_utf8(word()).unwrap(),
        body: word(),
    }
}

/// The bytes that a text with escapes stands for.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend(plain.as_bytes());
        let (byte, length) = match escape.as_bytes()[0] {
            b'r' => (b'\r', 1),
            b'n' => (b'\n', 1),
            b't' => (b'\t', 1),
            b'0' => (0, 1),
            b'\\' => (b'\\', 1),
            b'x' => (u8::from_str_radix(&escape[1..3], 16).unwrap(), 3),
            b'[' => {
                let (repeated, after) = escape[1..].split_once(']').expect("an end");
                let (what, count) = repeated.rsplit_once('*').expect("a count");
                bytes.extend(self::bytes(what).repeat(count.parse().unwrap()));
                rest = after;
                continue;
            }
            other => panic!("{:?} is no escape", char::from(other)),
        };
        bytes.push(byte);
        rest = &escape[length..];
    }
    bytes.extend(rest.as_bytes());
    bytes
}

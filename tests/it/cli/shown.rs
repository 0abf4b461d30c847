//! What the program prints, held against files in `shown/`; `BLESS=1` writes them anew.

use std::{fmt::Write as _, fs, path::Path};

use super::check;

fn is_as_before(name: &str, said: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/cli/shown")
        .join(name);
    if option_env!("BLESS").is_some() {
        fs::write(&path, said).unwrap();
    }
    let before = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        said == before,
        "{name} is not what it was; BLESS=1 if it is to be so:\n{said}"
    );
}

/// The commands that a help lists, with the words before them.
fn below(help: &str, above: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next());
    names
        .map(|name| format!("{above} {name}").trim().to_owned())
        .collect()
}

#[test]
fn the_help_of_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = String::new();
    let mut commands = vec![String::new()];
    while !commands.is_empty() {
        let command = commands.remove(0);
        let (help, _) = check(folder.path(), &format!("{command} --help"), 0);
        let words = format!("flexgate {command}");
        writeln!(said, "$ {}\n{help}", words.trim_end()).unwrap();
        let below = below(&help, &command);
        commands.splice(0..0, below);
    }
    assert!(said.matches("$ flexgate").count() > 50, "{said}");
    is_as_before("help.txt", &said);
}

#[test]
fn one_result_as_a_table_as_json_and_as_yaml() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".env"), "PORT=9000\n").unwrap();
    fs::write(
        folder.path().join("bad.yml"),
        "routes: [{path: a, upstream: b}]\nproxi: {}\n",
    )
    .unwrap();
    for (format, ending) in [("table", "txt"), ("json", "json"), ("yaml", "yml")] {
        let (options, _) = check(folder.path(), &format!("config --effective -o {format}"), 0);
        is_as_before(&format!("config.{ending}"), &options);
        let (stdout, stderr) = check(folder.path(), &format!("check bad.yml -o {format}"), 3);
        is_as_before(&format!("check.{ending}"), &(stdout + &stderr));
    }
}

#[test]
fn what_goes_wrong_says_what_to_do_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = String::new();
    for (words, code) in [
        ("fly", 2),
        ("routes create --path", 2),
        ("status --admin 127.0.0.1:1", 4),
        ("apply none.yml", 3),
        ("down", 6),
        ("logs", 6),
        ("events show", 4),
        ("events show --from yesterday", 2),
        ("migrate", 4),
    ] {
        let (stdout, stderr) = check(folder.path(), words, code);
        writeln!(said, "$ flexgate {words}\n{stdout}{stderr}[{code}]\n").unwrap();
    }
    is_as_before("failures.txt", &said);
}

#[test]
fn nothing_is_coloured_where_nobody_looks() {
    let folder = tempfile::tempdir().unwrap();
    let (stdout, stderr) = check(folder.path(), "status --admin 127.0.0.1:1", 4);
    assert!(
        !stdout.contains('\u{1b}') && !stderr.contains('\u{1b}'),
        "{stderr}"
    );
}

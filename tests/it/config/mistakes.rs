//! Mistakes in a file, and files that are odd.

use std::{collections::BTreeMap, path::Path, process::Command};

use flexgate::config::{ConfigError, file::Loaded};

use super::{parse, warnings};

/// Each file in `mistakes/` has one kind of mistake, and beside it what `flexgate check` says; `BLESS=1` writes that anew.
#[test]
fn each_mistake_is_explained_so_that_it_can_be_mended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/mistakes");
    let mut wrong = Vec::new();
    let mut checked = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yml") {
            continue;
        }
        let name = path.file_name().unwrap();
        let mut check = Command::new(env!("CARGO_BIN_EXE_flexgate"));
        let done = check
            .arg("check")
            .arg(name)
            .current_dir(&folder)
            .env_clear()
            .output()
            .unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        if option_env!("BLESS").is_some() {
            std::fs::write(path.with_extension("txt"), &said).unwrap();
        }
        let expected = std::fs::read_to_string(path.with_extension("txt")).unwrap_or_default();
        if said != expected || done.status.code() != Some(3) {
            wrong.push(format!("{} ({}):\n{said}", path.display(), done.status));
        }
        checked += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked >= 50, "{checked} files only");
}

/// What a person can read at a glance, whatever stands in the file.
fn is_short(said: &str) {
    assert!(said.len() < 2_000, "{} bytes: {}", said.len(), &said[..1_000]);
    assert!(said.lines().all(|line| line.chars().count() < 400), "{said}");
}

#[test]
fn a_name_of_a_megabyte_is_explained_in_a_few_lines() {
    let long = "a".repeat(1 << 20);
    for (text, word) in [
        (
            format!("upstreams: [{{name: {long}, url: 'http://a'}}]\n"),
            "proxy.yml:1:20",
        ),
        (format!("{long}: 1\n"), "at most 1024 characters"),
        (format!("{}: 1\n", &long[..1024]), "unknown section"),
        (format!("proxy: {{{long}: 1}}\n"), "at most 1024 characters"),
        (format!("proxy: {{{}: 1}}\n", &long[..1000]), "unknown key"),
        (format!("proxy: {{timeout: {long}}}\n"), "is not a span of time"),
        (
            format!("routes: [{{path: '{long}', upstream: a}}]\n"),
            "proxy.yml:1:17",
        ),
        (format!("# {long}\nproxy: {{port: x}}\n"), "proxy.yml:2:15"),
        (format!("proxy: {{port: x}} # {long}\n"), "proxy.yml:1:15"),
    ] {
        let ConfigError(mistakes) = Loaded::parse("proxy.yml", &text, &BTreeMap::new()).unwrap_err();
        let said: String = mistakes.iter().map(|mistake| mistake.render(false)).collect();
        assert!(said.contains(word), "{word} is missing in {said}");
        is_short(&said);
    }
}

#[test]
fn a_file_that_says_nothing_is_taken_with_a_warning() {
    for nothing in ["", "# upstreams:\n", "{}"] {
        assert!(
            warnings(&parse(nothing)).join("\n").contains("nothing is in it"),
            "{nothing}"
        );
    }
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.yml");
    std::fs::File::create(&path).unwrap().set_len(65 << 20).unwrap();
    let said = Loaded::read(&path, &BTreeMap::new()).unwrap_err().to_string();
    assert!(said.contains("at most 67108864 are read"), "{said}");
}

#[test]
fn a_file_of_ten_thousand_routes_is_read_with_the_last_mistake_in_its_line() {
    let routes = (0..10_000).map(|number| format!("- path: /r{number}/*\n  upstream: a\n  timeout: 5s\n"));
    let mut text =
        "upstreams:\n- {name: a, url: 'http://a'}\nroutes:\n".to_owned() + &routes.collect::<String>();
    assert_eq!(parse(&text).routes.len(), 10_000);
    text.push_str("- path: r\n  upstream: a\n");
    let ConfigError(mistakes) = Loaded::parse("proxy.yml", &text, &BTreeMap::new()).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert!(
        mistakes[0].to_string().starts_with("proxy.yml:30004:9: "),
        "{}",
        mistakes[0]
    );
}

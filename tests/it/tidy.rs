//! The rules that matter, held against the source tree.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files below a folder or of a module (`foo.rs` and `foo/`), with their text; tests apart.
fn sources(of: &str) -> Vec<(PathBuf, String)> {
    fn collect(path: &Path, into: &mut Vec<(PathBuf, String)>) {
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                collect(&entry.unwrap().path(), into);
            }
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            into.push((path.to_owned(), fs::read_to_string(path).unwrap()));
        }
    }
    let mut found = Vec::new();
    for path in [root().join(of), root().join(format!("{of}.rs"))]
        .iter()
        .filter(|path| path.exists())
    {
        collect(path, &mut found);
    }
    assert!(!found.is_empty(), "nothing at {of}");
    found
}

/// The code of a file without its comments, its tests and its strings of one line.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

#[track_caller]
fn never(module: &str, words: &[&str], why: &str) {
    for (path, text) in sources(module) {
        let code = code(&text);
        for word in words {
            assert!(!code.contains(word), "{} says {word:?}: {why}", path.display());
        }
    }
}

#[test]
fn the_core_is_pure() {
    let effects = [
        "async ",
        "tokio",
        "Utc::now",
        "SystemTime",
        "Instant",
        "rand::",
        "Uuid::",
        "std::fs",
        "std::net::Tcp",
        "std::env",
    ];
    for module in ["src/domain", "src/routing", "src/egress", "src/validation"] {
        never(module, &effects, "time, ids and the actor are arguments");
    }
}

#[test]
fn the_core_imports_nothing_above_it() {
    let core = [
        "crate::journal",
        "crate::gateway",
        "crate::admin",
        "crate::membership",
        "crate::app",
        "crate::cli",
        "crate::config",
    ];
    never(
        "src/routing",
        &[&core[..], &["crate::domain"]].concat(),
        "routing knows schemas only",
    );
    never(
        "src/domain",
        &core,
        "the domain knows routing, egress and schemas only",
    );
    never(
        "src/egress",
        &[&core[..], &["crate::domain", "crate::routing"]].concat(),
        "whoever connects asks it, and it knows schemas only",
    );
    never(
        "src/validation",
        &[&core[..], &["crate::domain", "crate::routing", "crate::egress"]].concat(),
        "whoever has a body asks it, and it knows schemas only",
    );
    never(
        "src/journal",
        &[
            "crate::gateway",
            "crate::admin",
            "crate::app",
            "crate::cli",
            "crate::config",
            "crate::membership",
        ],
        "the journal is below them",
    );
}

#[test]
fn imports_flow_one_way() {
    never(
        "src/gateway",
        &[
            "crate::journal",
            "crate::admin",
            "crate::app",
            "outcomes::shipper",
            "sqlx",
            "async_nats",
            "decide",
        ],
        "a request reads memory, and writes to the outbox",
    );
    never(
        "src/limiter",
        &[
            "crate::gateway",
            "crate::journal",
            "crate::domain",
            "crate::admin",
            "crate::app",
            "crate::config",
        ],
        "the gateway asks it",
    );
    for pure in ["bucket", "window", "period", "share"] {
        never(
            &format!("src/limiter/{pure}"),
            &["async ", "tokio", "Instant", "Utc::now", "redis"],
            "how requests are counted is pure",
        );
    }
    never(
        "src/outcomes",
        &[
            "crate::gateway",
            "crate::admin",
            "crate::app",
            "crate::cli",
            "crate::config",
        ],
        "outcomes are below them",
    );
    never(
        "src/audit",
        &[
            "crate::gateway",
            "crate::domain",
            "crate::admin",
            "crate::app",
            "crate::config",
            "sqlx",
        ],
        "it tells what others have decided",
    );
    never(
        "src/admin",
        &["crate::gateway", "crate::app", "sqlx"],
        "the admin API changes the gateway by commits alone",
    );
    never(
        "schemas/src",
        &["flexgate::", "crate::domain"],
        "schemas import nothing of ours",
    );
    never(
        "projections/src",
        &["async_nats", "hyper", "axum"],
        "projections are handed their events",
    );
}

#[test]
fn only_config_reads_the_environment() {
    for (path, text) in sources("src") {
        let homely = path.starts_with(root().join("src/config")) || path.ends_with("src/config.rs");
        let reads = ["env::var(", "env::var_os(", "env::vars(", "env::vars_os("];
        assert!(
            homely || !reads.iter().any(|read| code(&text).contains(read)),
            "{}",
            path.display()
        );
    }
}

#[test]
fn unsafe_code_has_one_home() {
    let home = root().join("src/outcomes/outbox/segment.rs");
    for (path, text) in ["src", "schemas/src", "projections/src"]
        .iter()
        .flat_map(|module| sources(module))
    {
        let code = code(&text);
        let is_unsafe = ["unsafe {", "unsafe fn", "unsafe impl"]
            .iter()
            .any(|word| code.contains(word));
        assert!(!is_unsafe || path == home, "{}", path.display());
        let proofs = text.matches("// SAFETY: ").count();
        assert!(
            path != home || proofs == code.matches("unsafe {").count(),
            "each block has its proof"
        );
    }
}

#[test]
fn the_fold_has_no_catch_all_arm() {
    never(
        "src/domain/evolve",
        &["_ =>"],
        "a new event must be placed by hand",
    );
    never(
        "schemas/src/event",
        &["_ =>"],
        "a new event must be placed by hand",
    );
    never(
        "projections/src/config",
        &["_ =>"],
        "a new event must be placed by hand",
    );
}

#[test]
fn metric_names_say_whose_they_are_and_in_which_unit() {
    let units = ["_total", "_seconds", "_bytes", "_ratio", "_info"];
    // Numbers of things at this moment: counts have no unit (OpenMetrics, "Metric Names").
    let counts = [
        "_connections",
        "_idle",
        "_revision",
        "_generation",
        "_frozen",
        "_outcomes",
        "_budgets",
    ];
    for (path, text) in sources("src") {
        for call in ["counter!(\"", "gauge!(\"", "histogram!(\""] {
            for name in code(&text)
                .split(call)
                .skip(1)
                .filter_map(|rest| rest.split('"').next())
            {
                let unit = units.iter().chain(&counts).any(|unit| name.ends_with(unit));
                assert!(
                    name.starts_with("flexgate_") && unit,
                    "{name} in {}",
                    path.display()
                );
                assert!(
                    !call.starts_with("counter") || name.ends_with("_total"),
                    "{name} is a counter"
                );
            }
        }
    }
}

#[test]
fn nothing_is_called_by_a_name_that_says_nothing() {
    for (path, _) in ["src", "schemas/src", "projections/src", "tests", "benches"]
        .iter()
        .flat_map(|folder| sources(folder))
    {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(
            ![
                "mod", "util", "utils", "helper", "helpers", "common", "misc", "types"
            ]
            .contains(&&*stem),
            "{}",
            path.display()
        );
    }
}

#[test]
fn migrations_say_why_first() {
    for entry in fs::read_dir(root().join("migrations")).into_iter().flatten() {
        let path = entry.unwrap().path();
        assert!(
            fs::read_to_string(&path).unwrap().starts_with("-- "),
            "{}",
            path.display()
        );
    }
}

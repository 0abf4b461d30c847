//! What differs, for people: entities that come, change and go, and the fields that change.

use std::path::Path;

use serde_json::{Map, Value};

use super::{
    entity::cell,
    exit::Failure,
    output::{Output, counted},
};

/// How much was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) changes: usize,
    pub(super) conflicts: usize,
    pub(super) drifted: usize,
}

impl Found {
    pub(super) fn is_any(self) -> bool {
        self.changes + self.conflicts + self.drifted > 0
    }
}

/// Shows what the API answered to a dry run.
pub(super) fn show(output: &Output, file: &Path, answer: &Value) -> Result<Found, Failure> {
    let list = |name: &str| {
        answer
            .get(name)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
    };
    let [changes, conflicts, drifted] = ["changes", "conflicts", "drifted"].map(list);
    let found = Found {
        changes: changes.len(),
        conflicts: conflicts.len(),
        drifted: drifted.len(),
    };
    if output.is_data() {
        output.data(answer)?;
        return Ok(found);
    }
    for change in changes {
        for line in lines(change) {
            output.line(&line)?;
        }
    }
    for conflict in conflicts {
        output.line(&format!("! {}", cell(conflict, "detail")))?;
    }
    for entity in drifted {
        output.line(&format!(
            "* {} was changed by others, and stays so",
            named(entity)
        ))?;
    }
    let file = file.display();
    output.line(&if found.is_any() {
        format!(
            "{file}: {}, {}, {} drifted",
            counted(found.changes, "change"),
            counted(found.conflicts, "conflict"),
            found.drifted
        )
    } else {
        format!("{file}: no differences")
    })?;
    Ok(found)
}

/// One change: what it is about, and each field that is not the same afterwards.
pub(super) fn lines(change: &Value) -> Vec<String> {
    let event = cell(change, "type");
    let mut parts = event.trim_start_matches("io.flexgate.").split('.');
    let (kind, verb) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let sign = match verb {
        "created" => '+',
        "deleted" => '-',
        _ => '~',
    };
    let mut lines = vec![
        format!("{sign} {kind} {}", cell(change, "id"))
            .trim_end()
            .to_owned(),
    ];
    if let (Some(Value::Object(before)), Some(Value::Object(after))) =
        (change.get("before"), change.get("after"))
    {
        lines.extend(fields(before, after));
    }
    lines
}

fn fields(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<String> {
    let shown = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    let mut names: Vec<_> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| {
            format!(
                "    {name}: {} -> {}",
                shown(before.get(name)),
                shown(after.get(name))
            )
        })
        .collect()
}

fn named(entity: &Value) -> String {
    format!("{} {}", cell(entity, "kind"), cell(entity, "id"))
        .trim_end()
        .to_owned()
}

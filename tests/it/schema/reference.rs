//! `docs/configuration.md`, made of the schema of the configuration file.

use std::fmt::Write as _;

use flexgate::config::OPTIONS;
use serde_json::Value;

const HEAD: &str = "\
# Every key of the configuration file

Made of the schema that `flexgate schema config` prints, by a test (`BLESS=1 cargo test --test it schema::`): not to be edited.
What files are for, and who wins where they meet the API, is in [configuration-file.md](configuration-file.md).

- An editor completes the file and says what is wrong with it after a first line like this one, which names the schema of the
  repository, or what `flexgate schema config > FILE` wrote:
  `# yaml-language-server: $schema=flexgate.schema.json`
- A span of time is a number of milliseconds, or a number with a unit: `250ms`, `5s`, `2m`, `1h`. A size is a number of bytes, or
  a number with `kb`, `mb` or `gb`, which are powers of 1024.
- In the place of any value `${NAME}` or `${NAME:-default}` may stand, a variable of the environment of whoever reads the file.
- A variable called like a key is stronger than the file: `FLEXGATE_LIMITS__MAX_BODY_SIZE=5mb` is `limits.maxBodySize`, with two
  underscores between a key and the one below it, and commas between the items of a list. There is none for what is within
  `upstreams` and `routes`. Without a file only what is about the node can be said so.
- *Live*: applied with the file, while requests pass. *Restart*: it is about the node that reads the file, and read when it
  starts. *Never*: taken from old files, and without effect.
- Keys of old files are in *italics*: each says what is written today.

";

/// The whole page.
pub(super) fn page(document: &Value) -> String {
    let mut page = HEAD.to_owned();
    let mut sections: Vec<_> = document["properties"].as_object().unwrap().iter().collect();
    // What every file has, what it may have, and what old ones have.
    let rank = |name: &str| {
        ["upstreams", "routes"]
            .iter()
            .position(|first| *first == name)
            .unwrap_or(2)
    };
    sections.sort_by_key(|(name, section)| (is_old(section), rank(name)));
    let mut later = Vec::new();
    for (name, section) in sections {
        let title = if is_old(section) {
            format!("*{name}*")
        } else {
            format!("`{name}`")
        };
        write!(page, "## {title}\n\n{}\n\n", described(document, section)).unwrap();
        let rows = rows(document, section, "", &mut later);
        if !rows.is_empty() {
            page.push_str(&table(&rows));
        }
    }
    page.push_str("# What several of them have\n\n");
    let mut next = 0;
    while let Some(name) = later.get(next).cloned() {
        let schema = &document["$defs"][&name];
        write!(page, "## {}\n\n{}\n\n", name, described(document, schema)).unwrap();
        let rows = rows(document, schema, "", &mut later);
        page.push_str(&table(&rows));
        next += 1;
    }
    page.push_str("# What a process is told when it starts\n\n");
    page.push_str("The strongest source wins: command line, environment, `.env` in the working directory, configuration file, default.\n");
    page.push_str("`flexgate config --effective` prints what holds, and which of them said it.\n\n");
    page.push_str("| variable | what it is | default |\n| --- | --- | --- |\n");
    for option in &OPTIONS {
        let default = if option.default.contains(' ') {
            option.default.to_owned()
        } else {
            format!("`{}`", option.default)
        };
        writeln!(page, "| `{}` | {} | {default} |", option.name, option.says).unwrap();
    }
    page.truncate(page.trim_end().len());
    page + "\n"
}

type Row = [String; 5];

fn table(rows: &[Row]) -> String {
    let mut text =
        "| key | value | default | what it does | applied |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for row in rows {
        let cells = row
            .each_ref()
            .map(|cell| cell.replace('|', "\\|").replace('\n', " "));
        writeln!(text, "| {} |", cells.join(" | ")).unwrap();
    }
    text + "\n"
}

/// The keys of a mapping; those of a mapping within it, which has no name of its own, with a dot between.
fn rows(document: &Value, schema: &Value, prefix: &str, later: &mut Vec<String>) -> Vec<Row> {
    let Some(mapping) = mapping_in(document, schema) else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for (name, key) in mapping["properties"].as_object().unwrap() {
        let full = format!("{prefix}{name}");
        let shown = if is_old(key) {
            format!("*{full}*")
        } else {
            format!("`{full}`")
        };
        let required = mapping["required"].as_array();
        let is_required = required.is_some_and(|required| required.iter().any(|one| one == name));
        let default = match &key["default"] {
            Value::Null if is_required => "**needed**".to_owned(),
            Value::Null => String::new(),
            Value::String(text) => format!("`{text}`"),
            Value::Number(number) => in_units(number.as_u64(), &value(document, key, &mut Vec::new()))
                .unwrap_or_else(|| format!("`{number}`")),
            other => format!("`{other}`"),
        };
        let applied = match key["x-applies"].as_str().or(schema["x-applies"].as_str()) {
            None => "live",
            Some(other) => other,
        };
        rows.push([
            shown,
            value(document, key, later),
            default,
            described(document, key),
            applied.to_owned(),
        ]);
        if inline_mapping(key) {
            rows.extend(self::rows(document, key, &format!("{full}."), later));
        }
    }
    rows
}

/// A number of milliseconds or bytes, as people write it.
fn in_units(number: Option<u64>, of: &str) -> Option<String> {
    let number = number?;
    let (unit, name) = match of {
        "span" if number % 1000 == 0 => (1000, "s"),
        "span" => (1, "ms"),
        "size" if number % 1024 == 0 => (1024, "kb"),
        _ => return None,
    };
    Some(format!("`{}{name}`", number / unit))
}

/// Whether its keys are shown below it, since they are nobody else's.
fn inline_mapping(schema: &Value) -> bool {
    schema["properties"].is_object()
        || schema["anyOf"]
            .as_array()
            .is_some_and(|parts| parts.iter().any(inline_mapping))
}

/// The mapping among what may stand somewhere; of a list, what its items are.
fn mapping_in<'d>(document: &'d Value, schema: &'d Value) -> Option<&'d Value> {
    if schema["properties"].is_object() {
        return Some(schema);
    }
    let alternatives = ["anyOf", "oneOf"]
        .into_iter()
        .flat_map(|keyword| schema[keyword].as_array().into_iter().flatten());
    let referred = schema["$ref"]
        .as_str()
        .and_then(|path| document.pointer(path.strip_prefix('#')?));
    alternatives
        .chain(referred)
        .chain(schema.get("items"))
        .find_map(|part| mapping_in(document, part))
}

fn is_old(schema: &Value) -> bool {
    schema["deprecated"] == true
}

/// What is said about it, here or where its type is.
fn described(document: &Value, schema: &Value) -> String {
    let own = schema["description"].as_str();
    let of_type = || {
        let path = schema["$ref"].as_str()?.strip_prefix('#')?;
        let is_unit = ["Millis", "Size"].iter().any(|unit| path.ends_with(unit));
        document.pointer(path)?["description"]
            .as_str()
            .filter(|_| !is_unit)
    };
    own.or_else(of_type).unwrap_or_default().replace('\n', " ")
}

/// What may stand there.
fn value(document: &Value, schema: &Value, later: &mut Vec<String>) -> String {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|path| path.strip_prefix("#/$defs/"))
    {
        return named(document, name, later);
    }
    for keyword in ["anyOf", "oneOf"] {
        if let Some(parts) = schema[keyword].as_array() {
            let mut said: Vec<String> = Vec::new();
            for part in parts.iter().filter(|part| part["$ref"] != "#/$defs/Variable") {
                let text = value(document, part, later);
                if !text.is_empty() && !said.contains(&text) {
                    said.push(text);
                }
            }
            return said.join(", or ");
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let words = values
            .iter()
            .map(|value| format!("`{}`", value.to_string().trim_matches('"')));
        return words.collect::<Vec<_>>().join(", ");
    }
    if !schema["const"].is_null() {
        return format!("`{}`", schema["const"].to_string().trim_matches('"'));
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds[0].as_str().unwrap_or_default(),
        kind => kind.as_str().unwrap_or_default(),
    };
    match kind {
        "array" => format!("list of {}", value(document, &schema["items"], later)),
        "boolean" => "`true`, `false`".to_owned(),
        "integer" | "number" => number(schema),
        "string" => "text".to_owned(),
        "object" if schema["additionalProperties"].is_object() => {
            format!(
                "mapping of names to {}",
                value(document, &schema["additionalProperties"], later)
            )
        }
        "object" if schema["patternProperties"].is_object() => {
            let values = schema["patternProperties"]
                .as_object()
                .unwrap()
                .values()
                .next()
                .unwrap();
            format!("mapping of names to {}", value(document, values, later))
        }
        "object" if schema["properties"].is_object() => "the keys below".to_owned(),
        "object" => "a mapping".to_owned(),
        _ => String::new(),
    }
}

fn number(schema: &Value) -> String {
    match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("{least} or more"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => "a number".to_owned(),
    }
}

/// A type by its name: mappings have a part of the page, everything else says what it is.
fn named(document: &Value, name: &str, later: &mut Vec<String>) -> String {
    let schema = &document["$defs"][name];
    if schema["properties"].is_object() {
        if !later.iter().any(|known| known == name) {
            later.push(name.to_owned());
        }
        return format!("[{name}](#{})", name.to_lowercase());
    }
    let has_mapping = mapping_in(document, schema).is_some();
    match name {
        "Millis" => "span".to_owned(),
        "Size" | "HeadSize" | "HeldSize" => "size".to_owned(),
        _ if has_mapping
            || schema["enum"].is_array()
            || schema["anyOf"].is_array()
            || schema["oneOf"].is_array() =>
        {
            value(document, schema, later)
        }
        _ => match schema["description"].as_str() {
            Some(description) if description.len() < 90 => description.trim_end_matches('.').to_owned(),
            _ => value(document, schema, later),
        },
    }
}

//! Writing a configuration as a file that says the same.

use flexgate_schemas::{Route, Settings, Upstream};
use serde_json::{Map, Value, json};

/// Where the fields of the settings stand in a file; those that are not here cannot be said in one.
const PLACES: [(&str, &[&str]); 12] = [
    ("timeout", &["proxy", "timeout"]),
    ("connectTimeout", &["proxy", "connectTimeout"]),
    ("trustedProxies", &["proxy", "trustedProxies"]),
    ("forwarded", &["proxy", "forwarded"]),
    ("cors", &["proxy", "cors"]),
    ("compression", &["proxy", "compression"]),
    ("access", &["security", "access"]),
    ("auth", &["security", "auth"]),
    ("rateLimit", &["rateLimit", "global"]),
    ("limits", &["limits"]),
    ("privacy", &["privacy"]),
    ("logging", &["logging"]),
];

/// A configuration as the text of a file. Secrets are references or sealed there as here; keys are left out, and what cannot
/// be said in a file is, too: both are named in comments.
pub fn yaml<'a>(
    upstreams: impl Iterator<Item = &'a Upstream>,
    routes: impl Iterator<Item = &'a Route>,
    settings: &Settings,
    keys: impl Iterator<Item = String>,
) -> String {
    let mut file = Map::new();
    let mut remarks: Vec<String> = Vec::new();
    if let Value::Object(settings) = value(settings) {
        for (name, said) in settings {
            put_setting(&mut file, &mut remarks, &name, said);
        }
    }
    file.insert("upstreams".to_owned(), upstreams.map(value).collect());
    file.insert("routes".to_owned(), routes.map(value).collect());
    remarks.extend(keys.map(|key| format!("{key} is not written here: nobody is told the hash of a secret")));
    let mut text = String::new();
    for remark in remarks {
        text.push_str("# ");
        text.push_str(&remark);
        text.push('\n');
    }
    text + &serde_saphyr::to_string(&Value::Object(file)).expect("a tree of JSON can be written as YAML")
}

fn put_setting(file: &mut Map<String, Value>, remarks: &mut Vec<String>, name: &str, said: Value) {
    if name == "security" {
        let section = file.entry("security").or_insert_with(|| json!({}));
        if let (Value::Object(section), Value::Object(lists)) = (section, said) {
            section.extend(lists);
        }
        return;
    }
    let Some((_, path)) = PLACES.iter().find(|(setting, _)| *setting == name) else {
        remarks.push(format!(
            "the setting `{name}` cannot be said in a file: it is {said}"
        ));
        return;
    };
    match *path {
        [section] => drop(file.insert((*section).to_owned(), said)),
        [section, key] => {
            let section = file.entry(*section).or_insert_with(|| json!({}));
            section[*key] = said;
        }
        _ => {}
    }
}

fn value(entity: &impl serde::Serialize) -> Value {
    serde_json::to_value(entity).expect("an entity has string keys")
}

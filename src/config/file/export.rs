//! Writing a configuration as a file that says the same.

use flexgate_schemas::{KeyId, Route, Settings, Upstream};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::interpolate;

/// Where the fields of the settings stand in a file. Those of `security` stand in the section of that name, one by one.
const PLACES: [(&str, &[&str]); 13] = [
    ("timeout", &["proxy", "timeout"]),
    ("connectTimeout", &["proxy", "connectTimeout"]),
    ("trustedProxies", &["proxy", "trustedProxies"]),
    ("forwarded", &["proxy", "forwarded"]),
    ("cors", &["proxy", "cors"]),
    ("compression", &["proxy", "compression"]),
    ("access", &["security", "access"]),
    ("auth", &["security", "auth"]),
    ("rateLimit", &["rateLimit", "global"]),
    ("rateLimitFields", &["rateLimit", "fields"]),
    ("limits", &["limits"]),
    ("privacy", &["privacy"]),
    ("logging", &["logging"]),
];

/// At the head of a file that names keys.
const OF_KEYS: &str = "# Nobody is told the hash of a key's secret. The keys in `withheldKeys` stay as they are when this is \
                       applied; one that is\n# taken out of that list counts as removed from the file.\n";

/// A configuration as the text of a file. Secrets are references or sealed there as here, and keys are named by id alone.
pub fn yaml<'a>(
    upstreams: impl Iterator<Item = &'a Upstream>,
    routes: impl Iterator<Item = &'a Route>,
    settings: &Settings,
    keys: impl Iterator<Item = KeyId>,
) -> String {
    let mut file = Map::new();
    if let Value::Object(settings) = value(settings) {
        for (name, said) in settings {
            put_setting(&mut file, &name, said);
        }
    }
    let keys: Vec<KeyId> = keys.collect();
    let remark = if keys.is_empty() { "" } else { OF_KEYS };
    if !keys.is_empty() {
        put(&mut file, &["security", "auth", "withheldKeys"], value(&keys));
    }
    file.insert("upstreams".to_owned(), upstreams.map(value).collect());
    file.insert("routes".to_owned(), routes.map(value).collect());
    let mut file = Value::Object(file);
    interpolate::escape(&mut file);
    remark.to_owned() + &serde_saphyr::to_string(&file).expect("a tree of JSON can be written as YAML")
}

/// A configuration as the admin API exports it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Exported {
    upstreams: Vec<Upstream>,
    routes: Vec<Route>,
    #[serde(default)]
    settings: Settings,
    #[serde(default)]
    withheld_keys: Vec<KeyId>,
}

/// A configuration that the admin API has exported as JSON, as the text of a file; none if it is no such export. What no
/// section of a file is called tells them apart.
pub(super) fn of_api(text: &str) -> Option<Result<String, String>> {
    let top: Map<String, Value> = serde_json::from_str(text).ok()?;
    if !["settings", "withheldKeys"]
        .iter()
        .any(|key| top.contains_key(*key))
    {
        return None;
    }
    let exported = serde_json::from_str(text).map(|exported: Exported| {
        yaml(
            exported.upstreams.iter(),
            exported.routes.iter(),
            &exported.settings,
            exported.withheld_keys.into_iter(),
        )
    });
    Some(exported.map_err(|error| format!("this looks like an export, but {error}")))
}

/// Where in a file that is which a JSON Pointer into what is applied names: the settings are several sections of it, and
/// keys are in one.
pub fn pointer_in_file(pointer: &str) -> String {
    if let Some(of_settings) = pointer.strip_prefix("/settings") {
        let (field, rest) = match of_settings.strip_prefix('/').unwrap_or_default().split_once('/') {
            Some((field, rest)) => (field, format!("/{rest}")),
            None => (of_settings.trim_start_matches('/'), String::new()),
        };
        let place = PLACES.iter().find(|(setting, _)| *setting == field);
        return match place {
            Some((_, path)) => format!("/{}{rest}", path.join("/")),
            None => of_settings.to_owned(),
        };
    }
    let is_of_keys = ["/keys", "/withheldKeys"].iter().any(|list| {
        let rest = pointer.strip_prefix(list);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if is_of_keys {
        format!("/security/auth{pointer}")
    } else {
        pointer.to_owned()
    }
}

fn put_setting(file: &mut Map<String, Value>, name: &str, said: Value) {
    if let ("security", Value::Object(lists)) = (name, &said) {
        for (list, said) in lists {
            put(file, &["security", list], said.clone());
        }
        return;
    }
    let place = PLACES.iter().find(|(setting, _)| *setting == name);
    let (_, path) = place.expect("a test below holds that every setting has a place");
    put(file, path, said);
}

/// Puts something below several keys, one in the other, beside what is there.
fn put(file: &mut Map<String, Value>, path: &[&str], said: Value) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        file.insert((*first).to_owned(), said);
    } else if let Value::Object(section) = file.entry(*first).or_insert_with(|| json!({})) {
        put(section, rest, said);
    }
}

fn value(entity: &(impl serde::Serialize + ?Sized)) -> Value {
    serde_json::to_value(entity).expect("an entity has string keys")
}

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::*;
use crate::config::file::Loaded;

#[test]
fn every_setting_has_a_place_in_a_file() {
    let schema = schemars::schema_for!(Settings);
    let fields = schema.get("properties").and_then(Value::as_object).unwrap();
    for field in fields.keys().filter(|field| *field != "security") {
        assert!(PLACES.iter().any(|(setting, _)| setting == field), "{field}");
    }
}

#[test]
fn keys_are_named_and_what_would_be_a_variable_is_none() {
    let route = json!({ "id": "r", "path": "/", "upstream": "http://a", "name": "costs $${5}, ${HOME}" });
    let route: Route = serde_json::from_value(route).unwrap();
    let key: KeyId = "1234567890e5".parse().unwrap();
    let settings: Settings =
        serde_json::from_value(json!({ "rateLimitFields": { "legacy": true } })).unwrap();
    let text = yaml([].into_iter(), [&route].into_iter(), &settings, [key].into_iter());
    let read = Loaded::parse("a.yml", &text, &BTreeMap::new()).unwrap();
    assert_eq!(
        (read.routes, read.withheld_keys, read.settings),
        (vec![route], vec![key], settings),
        "{text}"
    );
}

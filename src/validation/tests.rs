use serde_json::json;

use super::*;

fn schema(value: &Value) -> Result<Schema, SchemaMistake> {
    Schema::compile(&BodySchema::try_from(value.clone()).unwrap())
}

/// Where mistakes are, and what is said of them.
fn mistakes(schema: &Value, body: &str) -> Vec<(String, String)> {
    let judged = self::schema(schema).unwrap().judge(body.as_bytes());
    let mistakes = judged.err().unwrap_or_default();
    let told = |mistake: Mistake| match mistake.at {
        Place::Pointer(pointer) => (pointer, mistake.detail.into_owned()),
        elsewhere => panic!("{elsewhere:?}"),
    };
    mistakes.into_iter().map(told).collect()
}

#[test]
fn a_body_is_judged_by_every_rule_and_no_value_of_it_is_told() {
    let secret = r#"{"a":"secret"}"#;
    for (rule, detail) in [
        (json!({"type": "integer"}), "must be of type integer"),
        (json!({"const": "c"}), "does not hold to the rule `const`"),
        (json!({"enum": ["c"]}), "does not hold to the rule `enum`"),
        (json!({"pattern": "^c+$"}), "does not hold to the rule `pattern`"),
        (json!({"maxLength": 3}), "must have at most 3 characters"),
        (json!({"format": "email"}), "must be in the format `email`"),
        (json!(false), "must not be there"),
    ] {
        let told = mistakes(&json!({"properties": {"a": rule}}), secret);
        assert_eq!(told, [("/a".to_owned(), detail.to_owned())], "{rule}");
    }
    let without_further = json!({"additionalProperties": false});
    let short_names = json!({"propertyNames": {"maxLength": 3}});
    let either = json!({"anyOf": [{"type": "string"}, {"required": ["b"]}]});
    for (rules, body, pointer, detail) in [
        (json!({"required": ["b"]}), secret, "", "\"b\" is missing"),
        (
            without_further,
            r#"{"secret":1}"#,
            "",
            "has members that it must not have",
        ),
        (
            short_names,
            r#"{"secret":1}"#,
            "",
            "does not hold to the rule `propertyNames`",
        ),
        (either, secret, "", "does not hold to the rule `anyOf`"),
        (json!({"minimum": 2.5}), "2", "", "must be at least 2.5"),
        (
            json!({"items": {"maximum": 2}}),
            "[1,3]",
            "/1",
            "must be at most 2",
        ),
        (
            json!({"uniqueItems": true}),
            "[1,1]",
            "",
            "has the same item twice",
        ),
    ] {
        let told = mistakes(&rules, body);
        assert_eq!(told, [(pointer.to_owned(), detail.to_owned())], "{rules} {body}");
    }
}

#[test]
fn several_mistakes_are_told_at_once_and_not_too_many() {
    let rules = json!({"type": "array", "items": {"type": "integer"}});
    assert_eq!(mistakes(&rules, r#"["a",1,"b"]"#).len(), 2);
    let many = format!("[{}0.5]", "0.5,".repeat(100));
    assert_eq!(mistakes(&rules, &many).len(), MISTAKES_MAX);
    let name = "n".repeat(1000);
    let told = mistakes(&json!({"additionalProperties": false, "properties": {}}), "{}");
    assert!(told.is_empty());
    let told = mistakes(
        &json!({"additionalProperties": {"type": "null"}}),
        &format!(r#"{{"{name}":1}}"#),
    );
    assert_eq!(told[0].0.len(), 256, "what a client calls its members is cut off");
}

#[test]
fn what_is_not_json_or_reads_in_two_ways_is_no_body() {
    let check = |body: &str, words: &str| {
        let told = mistakes(&json!(true), body);
        assert_eq!(told.len(), 1, "{body}");
        assert!(told[0].1.contains(words), "{body}: {}", told[0].1);
    };
    check("", "line 1 column 0");
    check("{\"a\":\n secret}", "line 2 column 2");
    check("{} {}", "trailing characters at line 1 column 4");
    check("\u{feff}{}", "not JSON");
    check(
        r#"{"secret":1,"secret":2}"#,
        "two members of the same name, at line 1 column",
    );
    check(r#"[{"a":{"b":1,"b":1}}]"#, "two members of the same name");
    check(&"[".repeat(200), "recursion limit");
    check("1e400", "out of range");
    check("\"\u{1}\"", "control character");
    for told in [r#"{"secret":1,"secret":2}"#, "{\"secret\" 1}", "secret"] {
        assert!(!mistakes(&json!(true), told)[0].1.contains("secret"));
    }
    let judged = schema(&json!(true)).unwrap().judge(b"\"\xff\"");
    assert!(judged.is_err(), "JSON is UTF-8");
}

#[test]
fn a_body_has_only_so_many_values() {
    let zeros = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
    let rules = json!({"items": {"type": "integer"}});
    assert!(mistakes(&rules, &zeros(VALUES_MAX - 1)).is_empty());
    assert!(
        mistakes(&rules, &zeros(VALUES_MAX))[0]
            .1
            .contains("more than 1000000 values")
    );
    let rules = json!({"items": {"type": "string"}});
    let told = mistakes(&rules, &zeros(VALUES_MAX - 1));
    assert_eq!(told.len(), 1);
    assert!(told[0].1.contains("too large to say where"), "{told:?}");
}

#[track_caller]
fn refused(rules: &Value, pointer: &str, words: &str) {
    let mistake = schema(rules).expect_err("it is no schema");
    assert_eq!(mistake.pointer, pointer, "{}", mistake.detail);
    assert!(mistake.detail.contains(words), "{}", mistake.detail);
}

#[test]
fn what_is_no_schema_is_pointed_at() {
    refused(
        &json!({"properties": {"a": {"type": "sting"}}}),
        "/properties/a/type",
        "a type is",
    );
    refused(&json!({"properties": {"a/b": 1}}), "/properties/a~1b", "");
    refused(&json!({"required": "a"}), "/required", "");
    refused(&json!({"items": {"pattern": "("}}), "/items/pattern", "");
    refused(&json!({"items": {"pattern": "(a)\\1"}}), "/items/pattern", "");
    refused(&json!({"items": {"pattern": "(?=a)"}}), "/items/pattern", "");
    refused(
        &json!({"items": {"pattern": "(a{1000}){1000}"}}),
        "/items/pattern",
        "",
    );
    refused(
        &json!({"patternProperties": {"(": true}}),
        "/patternProperties/(",
        "",
    );
    refused(&json!({"format": "emial"}), "/format", "");
    refused(
        &json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
        "/$schema",
        "2020-12",
    );
}

#[test]
fn references_lead_to_places_within_the_schema_alone() {
    for remote in [
        "https://example.com/schema",
        "file:///etc/passwd",
        "other.json",
        "#anchor",
        "http://127.0.0.1:1/#/$defs/a",
    ] {
        refused(
            &json!({"items": {"$ref": remote}}),
            "/items/$ref",
            "nothing is fetched",
        );
    }
    refused(&json!({"$ref": "#/$defs/a"}), "/$ref", "no such place");
    refused(&json!({"$dynamicRef": "#a"}), "/$dynamicRef", "");
    refused(&json!({"$defs": {"a": {"$id": "http://a"}}}), "/$defs/a/$id", "");
    let rules = json!({"$id": "http://a", "$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "string"}}});
    assert!(mistakes(&rules, "\"x\"").is_empty());
    assert_eq!(mistakes(&rules, "1").len(), 1);
    let data = json!({"properties": {"$ref": {"const": {"$ref": "elsewhere"}}}});
    assert!(schema(&data).is_ok(), "what only looks like a reference is none");
}

#[test]
fn no_schema_takes_for_ever() {
    refused(
        &json!({"properties": {"a": {"$ref": "#"}}}),
        "/properties/a/$ref",
        "leads back",
    );
    let circle = json!({"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}}}});
    refused(&circle, "/$defs/b/not/$ref", "leads back");
    let mut doubling = serde_json::Map::new();
    for level in 0..30 {
        let next = json!({"$ref": format!("#/$defs/{}", level + 1)});
        doubling.insert(level.to_string(), json!({"allOf": [next, next]}));
    }
    doubling.insert("30".to_owned(), json!(true));
    refused(
        &json!({"$ref": "#/$defs/0", "$defs": doubling}),
        "",
        "more than 10000 rules",
    );
    let deep = (0..70).fold(json!(true), |inner, _| json!({"not": inner}));
    let mistake = schema(&deep).unwrap_err();
    assert!(mistake.detail.contains("64 deep"), "{}", mistake.detail);
}

#[test]
fn a_core_judges_what_takes_it_a_moment_only() {
    let small = schema(&json!({"type": "object"})).unwrap();
    assert!(small.is_quick(16 * 1024) && !small.is_quick(16 * 1024 + 1));
    let properties: serde_json::Map<_, _> = (0..1001)
        .map(|name| (format!("p{name}"), json!({"type": "string"})))
        .collect();
    assert!(!schema(&json!({"properties": properties})).unwrap().is_quick(1));
}

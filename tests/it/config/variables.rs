//! Variables: those that a file asks for, and those that override it.

use flexgate::config::{ConfigError, file::Loaded};
use flexgate_schemas::Millis;

use super::{environment, parse, up};

#[test]
fn variables_are_put_in_and_secrets_stay_references() {
    let variables =
        [("HOST", "api"), ("SPAN", "5s")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let text = "upstreams:\n- name: a\n  url: http://${HOST}:${PORT:-81}\n  timeout: ${SPAN}\n  retries: ${N:-2}\n  \
                authorization: ${TOKEN}\n";
    let loaded = Loaded::parse("proxy.yml", text, &variables.into()).unwrap();
    let upstream = &loaded.upstreams[0];
    assert_eq!(upstream.targets.as_slice()[0].url.to_string(), "http://api:81");
    assert_eq!(upstream.timeout, Some(Millis::new(5_000)));
    assert_eq!(upstream.retries.as_ref().unwrap().attempts, 2);
    assert_eq!(upstream.authorization.as_ref().unwrap().to_string(), "${TOKEN}");
}

fn with_variables(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Loaded::parse("proxy.yml", text, &variables.iter().map(pair).collect())
}

#[test]
fn a_key_of_the_file_is_overridden_by_a_variable_that_is_called_like_it() {
    let text = "proxy: {port: 8001, timeout: 5s}\nlimits: {maxBodySize: 1mb}\n";
    let loaded = with_variables(
        text,
        &[
            ("FLEXGATE_PROXY__PORT", "8002"),
            ("FLEXGATE_LIMITS__MAX_BODY_SIZE", "5mb"),
            ("FLEXGATE_LIMITS__MAX_FIELDS", "50"),
            ("FLEXGATE_PROXY__TRUSTED_PROXIES", "10.0.0.1, 10.1.0.0/16"),
            ("FLEXGATE_LOGGING__SAMPLING__SUCCESS_RATE", "0.25"),
            ("FLEXGATE_REDIS__HOST", "cache"),
            ("FLEXGATE_REDIS__PASSWORD", "12345"),
            ("FLEXGATE_PRIVACY__QUERY", "true"),
            ("FLEXGATE_DATA_DIR", "one underscore is another thing"),
        ],
    )
    .unwrap();
    assert_eq!(loaded.node.port, Some(8002));
    assert_eq!(
        loaded.node.redis.as_ref().unwrap().expose(),
        "redis://:12345@cache:6379/0"
    );
    assert_eq!(
        serde_json::to_value(&loaded.settings).unwrap(),
        serde_json::json!({
            "timeout": 5000,
            "trustedProxies": ["10.0.0.1/32", "10.1.0.0/16"],
            "limits": { "maxBodySize": 5 << 20, "maxFields": 50 },
            "logging": { "sampling": { "successRate": 0.25, "errorRate": 1.0 } },
            "privacy": { "query": true },
        })
    );
}

#[test]
fn a_variable_that_is_no_key_or_no_value_is_named_and_its_value_is_not_shown() {
    for (variable, value, words) in [
        (
            "FLEXGATE_LIMITS__MAX_BODY_SZE",
            "1mb",
            "FLEXGATE_LIMITS__MAX_BODY_SZE: `limits` has no key that MAX_BODY_SZE could be (did you mean `maxBodySize`?",
        ),
        (
            "FLEXGATE_LIMIT__X",
            "1",
            "FLEXGATE_LIMIT__X: a file has no key that LIMIT could be (did you mean `limits`?)",
        ),
        (
            "FLEXGATE_PROXY__PORT",
            "x",
            "FLEXGATE_PROXY__PORT: expected a whole number from 0 to 65535",
        ),
        (
            "FLEXGATE_LIMITS__MAX_FIELDS",
            "101",
            "FLEXGATE_LIMITS__MAX_FIELDS: 101 fields are out of range",
        ),
        (
            "FLEXGATE_PROXY__TLS",
            "on",
            "FLEXGATE_PROXY__TLS: `proxy.tls` has keys of its own",
        ),
        (
            "FLEXGATE_ROUTES__PATH",
            "/",
            "FLEXGATE_ROUTES__PATH: `routes` has no key that PATH could be",
        ),
    ] {
        let said = with_variables("limits: {maxFields: 5}\n", &[(variable, value)])
            .unwrap_err()
            .to_string();
        assert!(said.starts_with(words), "{said}");
    }
    let two = [
        ("FLEXGATE_PROXY__PORT", "x"),
        ("FLEXGATE_LIMITS__MAX_FIELDS", "x"),
    ];
    assert_eq!(with_variables("", &two).unwrap_err().0.len(), 2);
}

#[test]
fn variables_say_what_is_about_the_node_without_a_file_and_nothing_else() {
    let config = up(&environment([("FLEXGATE_PROXY__PORT", "3000")])).unwrap();
    assert_eq!(
        (config.listen.proxy.port(), config.listen.admin.port()),
        (3000, 3001)
    );
    let wrong = up(&environment([("FLEXGATE_LIMITS__MAX_FIELDS", "50")])).unwrap_err();
    assert!(wrong.to_string().contains("FLEXGATE_CONFIG"), "{wrong}");
}

#[test]
fn in_an_edit_the_variables_of_a_request_stay_and_those_of_the_environment_are_put_in() {
    let loaded = parse(
        "upstreams: [{name: a, url: 'http://a'}]\nroutes:\n- path: /users/:id\n  upstream: a\n  headers:\n    \
         request:\n      set:\n        x-user: ${STAGE:-test}/${path.id}\n",
    );
    let edits = serde_json::to_value(&loaded.routes[0].headers).unwrap();
    assert_eq!(edits["request"]["set"]["x-user"], "test/${path.id}");
}

//! What a configuration file may say, in both vocabularies.

use flexgate::config::{LogFormat, file::Loaded};
use flexgate_schemas::{Millis, UpstreamRef, key::SecretHash, matchers::Wanted, policy::AuthMode};

use super::{environment, file, parse, up, warnings};

#[test]
fn the_readmes_minimal_example_is_read() {
    let loaded = parse(include_str!("../../../config/minimal.yml"));
    assert_eq!(loaded.upstreams.len(), 1);
    assert_eq!(loaded.routes[0].path.to_string(), "/*");
    assert!(matches!(&loaded.routes[0].upstream, UpstreamRef::Named(name) if name.as_str() == "backend"));
    assert!(loaded.warnings.is_empty());
}

#[test]
fn the_readmes_full_example_is_read_and_what_it_asks_for_is_kept_or_said() {
    let (_folder, path) = file(include_str!("../../../config/full.yml"));
    let config = up(&environment([("FLEXGATE_CONFIG", &path)])).unwrap();
    assert_eq!(
        (config.listen.proxy.port(), config.listen.admin.port()),
        (3000, 3001)
    );
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(
        config.servers.redis.as_ref().unwrap().expose(),
        "redis://localhost:6379"
    );

    let loaded = config.file.unwrap();
    assert_eq!(loaded.settings.timeout, Some(Millis::new(30_000)));
    assert_eq!(
        loaded.settings.rate_limit.as_ref().unwrap().as_slice()[0]
            .requests
            .get(),
        1000
    );
    let sampling = &loaded.settings.logging.sampling;
    assert_eq!(
        (sampling.success_rate.into(), sampling.error_rate.into()),
        (0.1, 1.0)
    );
    let [primary, fallback] = &*loaded.upstreams else {
        panic!("two upstreams")
    };
    assert_eq!(primary.circuit_breaker.as_ref().unwrap().threshold.get(), 50);
    assert_eq!(fallback.timeout, Some(Millis::new(10_000)));
    assert!(
        loaded
            .routes
            .iter()
            .all(|route| route.auth.mode == AuthMode::Required && route.rate_limit.is_some())
    );
    assert_eq!(loaded.settings.limits.max_body_size.unwrap().get(), 10 << 20);
    assert_eq!(loaded.settings.auth.header(), "x-api-key");
}

#[test]
fn the_readmes_quick_start_is_read() {
    let loaded = parse(include_str!("readme-quickstart.yml"));
    assert_eq!(loaded.upstreams[0].retries.as_ref().unwrap().attempts, 3);
    assert_eq!(
        loaded.routes[0].rate_limit.as_ref().unwrap().as_slice()[0]
            .window
            .get(),
        60_000
    );
}

#[test]
fn the_old_files_vocabulary_means_the_same() {
    let loaded = parse(
        "version: 1.0.0\ntimeouts: {request: 20000, connect: 2000, idle: 120000}\n\
         redis: {enabled: true, host: cache, port: 6380, password: s3cret, db: 2, keyPrefix: 'flexgate:'}\n\
         http: {maxFreeSockets: 10, keepAlive: true}\nbackpressure: {enabled: true, maxQueueSize: 1000}\n\
         logging: {level: http, redaction: {enabled: true, fields: [password]}}\n\
         upstreams:\n- name: a\n  url: http://a\n  metadata: {team: x}\n  healthCheck: {enabled: true}\n  \
         circuitBreaker: {failureThreshold: 5, timeout: 60000, halfOpenRequests: 3, successThreshold: 2}\n\
         routes:\n- path: /a/*\n  upstream: a\n  stripPath: true\n  rateLimit: {enabled: true, max: 5, windowMs: 1000}\n\
         - path: /b\n  upstream: a\n  rateLimit: {enabled: false, max: 5, windowMs: 1000}\n",
    );
    assert_eq!(loaded.settings.timeout, Some(Millis::new(20_000)));
    assert_eq!(loaded.settings.connect_timeout, Some(Millis::new(2_000)));
    assert_eq!(
        loaded.settings.limits.keep_alive_timeout,
        Some(Millis::new(120_000))
    );
    assert_eq!(
        loaded.node.redis.as_ref().unwrap().expose(),
        "redis://:s3cret@cache:6380/2"
    );
    assert_eq!(loaded.node.log_level.as_deref(), Some("info"));
    let breaker = loaded.upstreams[0].circuit_breaker.as_ref().unwrap();
    // A number of failures: that many, and none that succeeded.
    assert_eq!(
        (breaker.threshold.get(), breaker.volume_threshold.get()),
        (100, 5)
    );
    assert_eq!(breaker.open_duration.get(), 60_000);
    assert!(loaded.routes[0].rate_limit.is_some() && loaded.routes[1].rate_limit.is_none());
    let said = warnings(&loaded).join("\n");
    for key in [
        "failureThreshold",
        "halfOpenRequests",
        "metadata",
        "backpressure",
        "redaction",
    ] {
        assert!(said.contains(key), "{key} is taken without a word:\n{said}");
    }
}

#[test]
fn a_file_says_what_is_recorded_of_requests() {
    let loaded = parse(
        "logging: {level: info, sampling: {enabled: true, successRate: 0.25, errorRate: 1}}\n\
         privacy: {path: template, query: true, clientAddress: hash}\n",
    );
    assert_eq!(
        serde_json::to_value(&loaded.settings).unwrap(),
        serde_json::json!({
            "logging": { "sampling": { "successRate": 0.25, "errorRate": 1.0 } },
            "privacy": { "path": "template", "query": true, "clientAddress": "hash" },
        })
    );
    assert!(loaded.warnings.is_empty());
    for nothing in [
        "logging: {sampling: {enabled: false, successRate: 0.1}}",
        "privacy:",
    ] {
        assert_eq!(parse(nothing).settings_to_apply(), None, "{nothing}");
    }
}

#[test]
fn a_file_says_where_requests_may_go() {
    let loaded = parse(
        "security:\n  trustedProxies: [10.0.0.1]\n  blockedIps: [10.0.0.0/8, '::1']\n  allowedHosts:\n  - '*.Example.com'\n  - fd00::1\n",
    );
    assert_eq!(
        serde_json::to_value(&loaded.settings).unwrap(),
        serde_json::json!({
            "trustedProxies": ["10.0.0.1/32"],
            "security": { "allowedHosts": ["*.example.com", "fd00::1"], "blockedIPs": ["10.0.0.0/8", "::1/128"] },
        })
    );
    assert!(loaded.warnings.is_empty());
    let nothing = parse("security: {auth: {type: apiKey}}");
    assert_eq!(nothing.settings_to_apply(), None);
}

#[test]
fn a_file_says_who_has_a_key() {
    let hash = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7"; // of hunter2
    let password = "$argon2id$v=19$m=64,t=2,p=4$c29tZXNhbHQ$sBKCnBWeQiQoj8VxXqmHq5WdmO/IsfgrgyK3uNhymP4";
    let text = format!(
        "security:\n  auth:\n    type: apiKey\n    header: X-Client-Key\n    keys:\n    - key: {hash}\n      name: app\n      scopes: {{routes: [orders]}}\n    - key: ${{TOKEN_HASH}}\n      basic:\n        username: printer\n        passwordHash: {password}\n"
    );
    let variables = [("TOKEN_HASH".to_owned(), "a".repeat(64))].into();
    let loaded = Loaded::parse("proxy.yml", &text, &variables).unwrap();
    assert_eq!(loaded.settings.auth.header(), "x-client-key");
    assert_eq!(loaded.keys[0].id(), SecretHash::of(b"hunter2").derived_id());
    let terms = loaded.keys[0].terms();
    assert_eq!((terms.name.as_str(), terms.scopes.routes.len()), ("app", 1));
    assert_eq!(loaded.keys[1].terms().name.as_str(), loaded.keys[1].id().as_str());
    let basic = loaded.keys[1].basic.as_ref().unwrap();
    assert_eq!(
        (basic.username.as_str(), basic.password_hash.expose()),
        ("printer", password)
    );
    for secret in [hash, password] {
        assert!(!loaded.source.text.contains(secret), "{}", loaded.source.text);
    }
    assert!(loaded.warnings.is_empty());
}

#[test]
fn limits_by_path_reach_the_routes_they_are_for() {
    let loaded = parse(
        "upstreams: [{name: a, url: http://a}]\nroutes:\n- {path: /expensive/*, upstream: a}\n- {path: /cheap, upstream: a}\n\
         rateLimit:\n  perRoute:\n  - {path: /expensive/*, max: 10, windowMs: 60000, message: heavily limited}\n",
    );
    assert_eq!(
        loaded.routes[0].rate_limit.as_ref().unwrap().as_slice()[0]
            .message
            .as_deref(),
        Some("heavily limited")
    );
    assert!(loaded.routes[1].rate_limit.is_none());
}

#[test]
fn a_route_without_an_id_keeps_its_identity_while_it_matches_the_same() {
    let id = |route: &str| {
        let loaded = parse(&format!(
            "upstreams: [{{name: a, url: http://a}}]\nroutes: [{{upstream: a, {route}}}]\n"
        ));
        loaded.routes[0].id.to_string()
    };
    let users = id("path: '/users/:id'");
    assert!(users.starts_with("file-") && users.len() == 21);
    assert_eq!(id("path: '/users/:user', timeout: 5, name: Users"), users);
    assert_ne!(id("path: '/users/:id', methods: [GET]"), users);
    assert_eq!(id("path: '/users/:id', id: users"), "users");
}

#[test]
fn cors_is_read_where_the_old_files_have_it() {
    for place in ["proxy", "security"] {
        let cors = "{enabled: true, origin: 'https://a.test', methods: [GET], credentials: true}";
        let loaded = parse(&format!("{place}: {{cors: {cors}}}\n"));
        let settings = serde_json::to_value(&loaded.settings).unwrap();
        let expected =
            serde_json::json!({ "origins": ["https://a.test"], "methods": ["GET"], "credentials": true });
        assert_eq!(settings["cors"], expected, "{place}");
        assert!(loaded.warnings.is_empty());
    }
}

#[test]
fn providers_of_tokens_are_read_and_their_secrets_stay_references() {
    let loaded = parse(
        "security:\n  auth:\n    jwt:\n    - name: corp\n      issuer: https://id.${STAGE:-test}\n      audiences: [orders]\n\
         \x20     algorithms: [HS256]\n      keys: [{secret: '${JWT_SECRET}'}]\n",
    );
    let provider = serde_json::to_value(&loaded.settings.auth.jwt[0]).unwrap();
    assert_eq!(provider["issuer"], "https://id.test");
    assert_eq!(provider["keys"][0]["secret"], "${JWT_SECRET}");
    assert!(loaded.warnings.is_empty());
}

#[test]
fn numbers_are_text_where_text_is_asked_for_and_aliases_are_followed() {
    let loaded = parse(
        "upstreams:\n- &base {name: 8080, url: 'http://a', timeout: 7s}\n- {<<: *base, name: b}\n\
         routes:\n- {path: /, upstream: 8080, match: {headers: [{name: x-version, value: 1.10}]}}\n",
    );
    assert_eq!(loaded.upstreams[0].name.as_str(), "8080");
    assert_eq!(loaded.upstreams[1].timeout, Some(Millis::new(7_000)));
    assert_eq!(
        loaded.routes[0].matchers.headers()[0].wanted,
        Wanted::Exactly("1.10".into())
    );
}

//! Settings and the configuration file, as a node reads them.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use flexgate::config::{Config, ConfigError, Layer, LogFormat, Purpose, Role, Roles, Sources, file::Loaded};
use flexgate_schemas::{Millis, UpstreamRef, key::SecretHash, matchers::Wanted, policy::AuthMode};

fn environment<const N: usize>(variables: [(&str, &str); N]) -> Sources {
    Sources::of([Layer::variables(variables)])
}

fn up(sources: &Sources) -> Result<Config, ConfigError> {
    Config::load(sources, Purpose::Up { demo: false })
}

/// A file with this text, and its path for `FLEXGATE_CONFIG`.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.yml");
    std::fs::write(&path, text).unwrap();
    (folder, path.display().to_string())
}

fn parse(text: &str) -> Loaded {
    Loaded::parse("proxy.yml", text, &BTreeMap::new()).unwrap()
}

fn warnings(loaded: &Loaded) -> Vec<String> {
    loaded.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_node_that_is_told_nothing_keeps_to_itself() {
    let config = up(&Sources::default()).unwrap();
    assert_eq!(config.listen.proxy.to_string(), "127.0.0.1:8000");
    assert_eq!(config.listen.admin.to_string(), "127.0.0.1:3000");
    assert_eq!(config.listen.ops.to_string(), "127.0.0.1:9900");
    assert_eq!(config.data_dir, Path::new(".flexgate"));
    assert_eq!(config.roles, Roles::ALL);
    assert_eq!(config.streams.stream("CONFIG"), "FLEXGATE_CONFIG");
    assert_eq!(config.streams.subject_root(), "flexgate");
    assert!(config.servers.nats.is_none() && config.file.is_none() && config.warnings.is_empty());
}

#[test]
fn the_stronger_source_wins_from_option_to_file() {
    let (_folder, path) = file("proxy: {port: 8001}\nlogging: {format: json}\n");
    let dotenv = format!("FLEXGATE_CONFIG={path}\n");
    let proxy = |layers: Vec<Layer>, dotenv: &str| {
        let sources = Sources::of(layers).with_dotenv(Path::new(".env"), dotenv);
        up(&sources).unwrap().listen.proxy.port()
    };
    let option = Layer::options([(
        "FLEXGATE_PROXY_ADDR",
        "--proxy-addr",
        Some("127.0.0.1:8004".to_owned()),
    )]);
    let variable = Layer::variables([("FLEXGATE_PROXY_ADDR", "127.0.0.1:8003")]);
    let env_file = format!("{dotenv}PORT=8002\n");

    assert_eq!(proxy(vec![], ""), 8000);
    assert_eq!(proxy(vec![], &dotenv), 8001);
    assert_eq!(proxy(vec![], &env_file), 8002);
    assert_eq!(proxy(vec![variable.clone()], &env_file), 8003);
    assert_eq!(proxy(vec![option, variable], &env_file), 8004);
    // The environment is stronger than `.env`, also where its name is the less specific one.
    let env_file = format!("{dotenv}FLEXGATE_PROXY_ADDR=127.0.0.1:8005\n");
    assert_eq!(proxy(vec![Layer::variables([("PORT", "8006")])], &env_file), 8006);
}

#[test]
fn the_readmes_environment_is_understood() {
    let text = "DATABASE_URL=postgresql://localhost/flexgate\nDATABASE_USER=flexgate\n\
                DATABASE_PASSWORD=your-password\nREDIS_URL=redis://localhost:6379\n\
                NATS_URL=nats://localhost:4222\nPORT=3000\n";
    let config = up(&Sources::default().with_dotenv(Path::new(".env"), text)).unwrap();
    let servers = &config.servers;
    assert_eq!(
        servers.postgres.as_ref().unwrap().expose(),
        "postgresql://flexgate:your-password@localhost/flexgate"
    );
    assert_eq!(servers.nats.as_ref().unwrap().expose(), "nats://localhost:4222");
    assert_eq!(servers.redis.as_ref().unwrap().expose(), "redis://localhost:6379");
    assert!(!format!("{config:?}").contains("your-password"));
}

#[test]
fn a_proxy_on_the_admins_port_moves_the_admin_and_says_so() {
    let config = up(&environment([("PORT", "3000")])).unwrap();
    assert_eq!(config.listen.proxy.to_string(), "127.0.0.1:3000");
    assert_eq!(config.listen.admin.to_string(), "127.0.0.1:3001");
    let said = config.warnings[0].to_string();
    assert!(
        said.contains("127.0.0.1:3001") && said.contains("FLEXGATE_ADMIN_ADDR"),
        "{said}"
    );

    let asked = environment([("PORT", "3000"), ("FLEXGATE_ADMIN_ADDR", "127.0.0.1:4000")]);
    let config = up(&asked).unwrap();
    assert_eq!(config.listen.admin.port(), 4000);
    assert!(config.warnings.is_empty());
    assert!(up(&environment([("PORT", "3000"), ("FLEXGATE_ADMIN_ADDR", "3000")])).is_err());
}

#[test]
fn every_mistake_is_reported_at_once_with_where_it_was_written() {
    let sources = environment([
        ("FLEXGATE_PROXY_ADDR", "nowhere"),
        ("FLEXGATE_THREADS", "0"),
        ("DATABASE_URL", "mysql://root:hunter2@db"),
        ("FLEXGATE_ADMIN_TOKEN", "hunter2"),
        ("FLEXGATE_CONFIG", "/nowhere/proxy.yml"),
        ("FLEXGATE_LOG", "flexgate=loud"),
    ]);
    let said = Config::load(
        &sources.with_dotenv(Path::new(".env"), "just words\n"),
        Purpose::Serve,
    )
    .unwrap_err()
    .to_string();
    for part in [
        "FLEXGATE_PROXY_ADDR: \"nowhere\"",
        "FLEXGATE_THREADS",
        "DATABASE_URL: not a URL that begins with postgresql://",
        "FLEXGATE_ADMIN_TOKEN: an admin token has at least 16",
        "/nowhere/proxy.yml",
        "FLEXGATE_LOG",
        ".env, line 1",
        "--role gateway,admin,projector,reactor",
    ] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_process_that_serves_does_what_its_roles_say() {
    let sources = environment([
        ("FLEXGATE_ROLES", "gateway, projector"),
        ("FLEXGATE_DRAIN_DELAY", "250ms"),
    ]);
    let config = Config::load(&sources, Purpose::Serve).unwrap();
    assert!(config.roles.contains(Role::Gateway) && !config.roles.contains(Role::Admin));
    assert_eq!(config.roles.to_string(), "gateway,projector");
    assert_eq!(config.drain.delay, Duration::from_millis(250));
}

#[test]
fn the_readmes_minimal_example_is_read() {
    let loaded = parse(include_str!("../../config/minimal.yml"));
    assert_eq!(loaded.upstreams.len(), 1);
    assert_eq!(loaded.routes[0].path.to_string(), "/*");
    assert!(matches!(&loaded.routes[0].upstream, UpstreamRef::Named(name) if name.as_str() == "backend"));
    assert!(loaded.warnings.is_empty());
}

#[test]
fn the_readmes_full_example_is_read_and_what_it_asks_for_is_kept_or_said() {
    let (_folder, path) = file(include_str!("../../config/full.yml"));
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
    let loaded = parse(include_str!("config/readme-quickstart.yml"));
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
fn name_servers_are_those_of_the_system_unless_they_are_named() {
    assert!(up(&Sources::default()).unwrap().name_servers.is_empty());
    let config = up(&environment([(
        "FLEXGATE_DNS_SERVERS",
        "10.0.0.2, [fd00::2]:5353",
    )]))
    .unwrap();
    let named: Vec<_> = config.name_servers.iter().map(ToString::to_string).collect();
    assert_eq!(named, ["10.0.0.2:53", "[fd00::2]:5353"]);
    let wrong = up(&environment([("FLEXGATE_DNS_SERVERS", "dns.example")])).unwrap_err();
    assert!(wrong.to_string().starts_with("FLEXGATE_DNS_SERVERS: "), "{wrong}");
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
fn a_proxy_port_of_3000_in_the_file_moves_the_admin_api_with_a_warning() {
    let (_folder, path) = file("proxy: {port: 3000}\n");
    let config = up(&environment([("FLEXGATE_CONFIG", &path)])).unwrap();
    assert_eq!(
        (config.listen.proxy.port(), config.listen.admin.port()),
        (3000, 3001)
    );
    assert!(config.warnings[0].to_string().contains("127.0.0.1:3001"));
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

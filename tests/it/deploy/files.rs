//! `compose.yaml` and the files it mounts agree with the program, and with each other.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use flexgate::config::{Config, Layer, Purpose, Sources};
use serde_json::{Value, json};

use super::topology::deployed;
use crate::fixtures::installed;

/// Stands for every password: 32 bytes in hexadecimal that do not begin like a number.
const PASSWORD: &str = "a1a2a3a4a5a6a7a8a1a2a3a4a5a6a7a8a1a2a3a4a5a6a7a8a1a2a3a4a5a6a7a8";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// `compose.yaml`, with what `deploy/passwords` makes filled in.
fn compose() -> Value {
    let (text, passwords) = (read("compose.yaml"), read("deploy/passwords"));
    let mut pieces = text.split("${");
    let mut filled = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let (variable, rest) = piece.split_once('}').unwrap();
        let name = variable.split(':').next().unwrap();
        assert!(passwords.contains(name), "nothing makes {name}");
        filled.extend([PASSWORD, rest]);
    }
    serde_saphyr::from_str(&filled).unwrap()
}

/// The services that run our image, by name.
fn ours(compose: &Value) -> Vec<(&str, &Value)> {
    let services = compose["services"].as_object().unwrap();
    let ours = services
        .iter()
        .filter(|(_, service)| service["image"] == "flexgate");
    ours.map(|(name, service)| (name.as_str(), service)).collect()
}

/// What the process of a service has in its environment: the image's, and its own over it.
fn environment(service: &Value) -> BTreeMap<String, String> {
    let image = read("deploy/Dockerfile");
    let assigned = image.split_whitespace().filter_map(|word| word.split_once('='));
    let of_image = assigned.filter(|(name, _)| name.starts_with("FLEXGATE_"));
    let of_image = of_image.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let own = service["environment"].as_object().unwrap().iter();
    let own = own.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
    of_image.chain(own).collect()
}

fn words(list: &Value) -> Vec<&str> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| item.as_str().unwrap()).collect()
}

/// What the program makes of a service that serves.
fn config(service: &Value) -> Option<Config> {
    let command = words(&service["command"]);
    let ["serve", "--role", roles] = command[..] else {
        return None;
    };
    let variables = environment(service)
        .into_iter()
        .chain([("FLEXGATE_ROLES".to_owned(), roles.to_owned())]);
    let sources = Sources::of([Layer::variables(variables)]);
    let config = Config::load(&sources, Purpose::Serve).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    Some(config)
}

#[test]
fn every_service_of_ours_is_told_what_the_program_reads() {
    let mut settings = String::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config")).unwrap() {
        settings.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap_or_default());
    }
    settings.push_str(&read("src/config.rs"));
    let compose = compose();
    for (service, told) in ours(&compose) {
        for name in environment(told).keys() {
            assert!(
                settings.contains(&format!("\"{name}\"")),
                "nothing reads {name} of {service}"
            );
        }
    }
    let serving = ours(&compose)
        .iter()
        .filter(|(_, service)| config(service).is_some())
        .count();
    assert_eq!(serving, 4, "two gateways, admin and projector");
}

#[test]
fn what_is_published_is_listened_on_and_only_gateways_are_open_to_others() {
    let compose = compose();
    let exposed = read("deploy/Dockerfile");
    let exposed = exposed
        .lines()
        .find_map(|line| line.strip_prefix("EXPOSE "))
        .unwrap();
    for (name, service) in ours(&compose) {
        let Some(config) = config(service) else { continue };
        assert!(
            config.listen.ops.ip().is_unspecified(),
            "health and metrics of {name} are scraped"
        );
        for port in words(&service["ports"]) {
            let (published, inner) = port.rsplit_once(':').unwrap();
            let listens = if config.roles.gateway {
                assert!(exposed.contains(inner), "{inner}");
                config.listen.proxy
            } else {
                assert!(
                    published.starts_with("127.0.0.1:"),
                    "{name} is open on {published}"
                );
                config.listen.admin
            };
            assert_eq!(listens.port().to_string(), inner, "{name}");
            assert!(
                listens.ip().is_unspecified(),
                "{name} could not be reached on {listens}"
            );
        }
    }
    for (name, service) in compose["services"].as_object().unwrap() {
        let is_gateway = name.starts_with("gateway");
        for port in words(&service["ports"]) {
            assert!(
                is_gateway || port.starts_with("127.0.0.1:"),
                "{name} is open on {port}"
            );
        }
    }
}

#[test]
fn every_role_logs_in_as_its_own_user_at_servers_that_there_are() {
    let (compose, accounts) = (compose(), read("deploy/nats/accounts.conf"));
    for (name, service) in ours(&compose) {
        let role = config(service).map_or_else(|| "operator".to_owned(), |config| config.roles.to_string());
        let told = environment(service);
        let servers = told["NATS_URL"].strip_prefix(&format!("nats://{role}:{PASSWORD}@"));
        let servers = servers.unwrap_or_else(|| panic!("{name} is not {role}"));
        assert!(
            accounts.contains(&format!("user: {role}, password: $NATS_")),
            "{role}"
        );
        for server in servers.split(',') {
            let server = server
                .trim_start_matches("nats://")
                .strip_suffix(":4222")
                .unwrap();
            assert!(compose["services"].get(server).is_some(), "{server}");
        }
    }
}

#[test]
fn prometheus_scrapes_what_there_is() {
    let compose = compose();
    let prometheus: Value = serde_saphyr::from_str(&read("deploy/prometheus.yml")).unwrap();
    let mut scraped = Vec::new();
    for job in prometheus["scrape_configs"].as_array().unwrap() {
        for target in words(&job["static_configs"][0]["targets"]) {
            let (host, port) = target.split_once(':').unwrap();
            let config = config(&compose["services"][host]).unwrap();
            assert_eq!(config.listen.ops.port().to_string(), port, "{target}");
            assert!(!config.roles.admin, "{target} has no ops listener");
            scraped.push(host.to_owned());
        }
    }
    assert_eq!(scraped, ["gateway-1", "gateway-2", "projector"]);
}

/// What is asked of Prometheus: by its alerts, and by the panels of the dashboard.
fn questions() -> Vec<String> {
    let alerts: Value = serde_saphyr::from_str(&read("deploy/alerts.yml")).unwrap();
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/flexgate.json")).unwrap();
    let rules = alerts["groups"][0]["rules"].as_array().unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    let questions = rules
        .iter()
        .chain(targets)
        .map(|asking| asking["expr"].as_str().unwrap());
    // Grafana's own word for a span of time that suits what is shown.
    questions
        .map(|question| question.replace("$__rate_interval", "5m"))
        .collect()
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_exist() {
    let described = read("src/telemetry/metrics.rs");
    let questions = questions();
    let words = questions
        .iter()
        .flat_map(|question| question.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let metrics: Vec<_> = words.filter(|word| word.starts_with("flexgate_")).collect();
    assert!(
        metrics.len() >= questions.len() - 1,
        "only `up` is not ours: {metrics:?}"
    );
    for name in metrics {
        let name = name.strip_suffix("_bucket").unwrap_or(name);
        assert!(described.contains(&format!("\"{name}\"")), "{name}");
    }
}

#[test]
fn promtool_finds_nothing_wrong() {
    let Some(promtool) = installed("promtool") else {
        return;
    };
    let check = |what: &str, file: &Path| {
        let checked = Command::new(&promtool)
            .args(["check", what])
            .arg(file)
            .output()
            .unwrap();
        assert!(
            checked.status.success(),
            "{}",
            String::from_utf8_lossy(&checked.stderr)
        );
    };
    check("config", &deployed("prometheus.yml"));
    let rule = |(number, expr): (usize, String)| json!({ "record": "asked", "labels": { "number": number.to_string() }, "expr": expr });
    let rules: Vec<_> = questions().into_iter().enumerate().map(rule).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(
        &file,
        json!({ "groups": [{ "name": "asked", "rules": rules }] }).to_string(),
    )
    .unwrap();
    check("rules", file.path());
}

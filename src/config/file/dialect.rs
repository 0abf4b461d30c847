//! The vocabulary of the original's own `proxy.yml`, brought into the README's, which our types read.

use std::ops::Range;

use super::tree::{Key, Node, Value};

/// Where a file says which setting; the first place is the usual one, the others are from old files.
const SETTINGS: [(&str, &[&str]); 16] = [
    ("timeout", &["proxy", "timeout"]),
    ("timeout", &["proxy", "timeout", "request"]),
    ("timeout", &["timeouts", "request"]),
    ("connectTimeout", &["proxy", "connectTimeout"]),
    ("connectTimeout", &["proxy", "timeout", "connect"]),
    ("connectTimeout", &["timeouts", "connect"]),
    ("trustedProxies", &["proxy", "trustedProxies"]),
    ("trustedProxies", &["security", "trustedProxies"]),
    ("forwarded", &["proxy", "forwarded"]),
    ("rateLimit", &["rateLimit", "global"]),
    ("rateLimitFields", &["rateLimit", "fields"]),
    ("cors", &["proxy", "cors"]),
    ("cors", &["security", "cors"]),
    ("compression", &["proxy", "compression"]),
    ("access", &["security", "access"]),
    ("privacy", &["privacy"]),
];
/// The same of `limits`, beside the section of that name.
const LIMITS: [(&str, &[&str]); 3] = [
    ("maxBodySize", &["proxy", "maxBodySize"]),
    ("keepAliveTimeout", &["proxy", "timeout", "idle"]),
    ("keepAliveTimeout", &["timeouts", "idle"]),
];
/// What of the section `security` is the setting of that name.
const SECURITY: [&str; 3] = ["allowedHosts", "blockedIPs", "blockedIps"];
/// What of `security.auth` is the setting `auth`.
const AUTH: [&str; 4] = ["header", "forwardCredential", "jwt", "onRedisFailure"];

/// Every place of a file that says a setting, and where that is among the settings.
pub(super) fn homes() -> Vec<(Vec<&'static str>, Vec<&'static str>)> {
    let below = |above: &[&'static str], name| [above, &[name]].concat();
    let settings = SETTINGS.iter().map(|(name, place)| (vec![*name], place.to_vec()));
    let limits = LIMITS
        .iter()
        .map(|(name, place)| (below(&["limits"], *name), place.to_vec()));
    let security = SECURITY
        .iter()
        .filter(|name| **name != "blockedIps")
        .map(|name| (below(&["security"], *name), below(&["security"], *name)));
    let auth = AUTH
        .iter()
        .map(|name| (below(&["auth"], *name), below(&["security", "auth"], *name)));
    let others = [
        (vec!["limits"], vec!["limits"]),
        (vec!["logging", "sampling"], vec!["logging", "sampling"]),
        (vec!["rateLimit"], vec!["security", "rateLimiting"]),
    ];
    settings
        .chain(limits)
        .chain(security)
        .chain(auth)
        .chain(others)
        .collect()
}

/// Something to tell about a translation.
pub(super) struct Remark {
    pub(super) message: String,
    pub(super) place: Range<usize>,
}

/// An upstream or a route: labels are dropped, and limits and breakers speak the README's language.
pub(super) fn translate(entity: &mut Node) -> Vec<Remark> {
    let mut remarks = Vec::new();
    if let Some((key, _)) = entity.take("metadata") {
        remarks.push(remark("`metadata` is not kept", key.place()));
    }
    switchable(entity, "rateLimit");
    if let Some(breaker) = entity.get_mut("circuitBreaker") {
        remarks.extend(old_breaker(breaker));
    }
    remarks
}

/// A limit may have a switch. One that is off is no limit.
pub(super) fn switchable(parent: &mut Node, key: &str) {
    let Some(limit) = parent.get_mut(key) else { return };
    match limit.get("enabled").map(|switch| &switch.value) {
        Some(Value::Bool(true)) => drop(limit.take("enabled")),
        Some(Value::Bool(false)) => drop(parent.take(key)),
        _ => {}
    }
}

/// What `openDuration` was called.
pub(super) const OLD_OPEN_DURATION: &str = "timeout";
/// What a breaker of ours does not ask for.
pub(super) const OLD_TRIALS: [&str; 2] = ["halfOpenRequests", "successThreshold"];

/// With the old keys beside it the threshold was a number of failures, not a percentage: that many failures and no
/// success among them.
fn old_breaker(breaker: &mut Node) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let open_for = breaker.take(OLD_OPEN_DURATION);
    let trials = OLD_TRIALS.map(|key| breaker.take(key));
    let old = open_for.is_some() || trials.iter().any(Option::is_some);
    if let Some((key, value)) = open_for {
        breaker.put(Key::made_up("openDuration", &key.place()), value);
    }
    for (key, _) in trials.into_iter().flatten() {
        remarks.push(remark(
            format!(
                "`{}` is not kept: one trial request closes a breaker again",
                key.text
            ),
            key.place(),
        ));
    }
    if old && let Some((key, count)) = breaker.take("failureThreshold") {
        let place = key.place();
        let message = "`failureThreshold` beside old keys is a number of failures: taken as that many in a row; \
                       without them it is a percentage";
        remarks.push(remark(message, place.clone()));
        breaker.put(Key::made_up("volumeThreshold", &place), count);
        breaker.put(
            Key::made_up("threshold", &place),
            Node::made_up(Value::Unsigned(100), &place),
        );
    }
    remarks
}

fn remark(message: impl Into<String>, place: Range<usize>) -> Remark {
    Remark {
        message: message.into(),
        place,
    }
}

/// The settings of the cluster, which the file has in several sections, gathered into one mapping.
pub(super) fn settings(file: &Node) -> Node {
    let mut settings = Node::made_up(Value::Map(Vec::new()), &(0..0));
    let gathered = SETTINGS
        .iter()
        .filter_map(|(name, path)| Some((*name, file.entry_at(path)?)));
    let old_limit = file
        .entry_at(&["security", "rateLimiting"])
        .map(|entry| ("rateLimit", entry));
    for (name, (key, value)) in gathered.chain(old_limit) {
        let is_group = name == "timeout" && matches!(value.value, Value::Map(_));
        let is_empty_section = name == "privacy" && matches!(value.value, Value::Null);
        if !is_group && !is_empty_section {
            settings.put(Key::made_up(name, &key.place()), value.clone());
        }
    }
    switchable(&mut settings, "rateLimit");
    if let Some((key, limits)) = limits(file) {
        settings.put(key, limits);
    }
    if let Some((key, sampling)) = file.entry_at(&["logging", "sampling"]) {
        let mut logging = Node::made_up(Value::Map(vec![(key.clone(), sampling.clone())]), &key.place());
        switchable(&mut logging, "sampling");
        settings.put(Key::made_up("logging", &key.place()), logging);
    }
    if let Some((key, lists)) = part(file, &["security"], &SECURITY) {
        settings.put(key, lists);
    }
    if let Some((key, auth)) = part(file, &["security", "auth"], &AUTH) {
        settings.put(key, auth);
    }
    if let Some((
        _,
        Node {
            value: Value::Bool(false),
            ..
        },
    )) = file.entry_at(&["rateLimit", "enabled"])
    {
        settings.take("rateLimit");
    }
    settings
}

/// The section `limits`, and what stood elsewhere before there was one. The section is the stronger.
fn limits(file: &Node) -> Option<(Key, Node)> {
    let section = file
        .entry("limits")
        .filter(|(_, section)| !matches!(section.value, Value::Null));
    let mut gathered = section.map(|(key, section)| (key.clone(), section.clone()));
    for (name, path) in LIMITS {
        let Some((key, value)) = file.entry_at(path) else {
            continue;
        };
        let nothing = || {
            (
                Key::made_up("limits", &key.place()),
                Node::made_up(Value::Map(Vec::new()), &key.place()),
            )
        };
        let (_, limits) = gathered.get_or_insert_with(nothing);
        if limits.get(name).is_none() {
            limits.put(Key::made_up(name, &key.place()), value.clone());
        }
    }
    gathered
}

/// What a section says under these names, without what else stands there.
fn part(file: &Node, path: &[&str], names: &[&str]) -> Option<(Key, Node)> {
    let (section, node) = file.entry_at(path)?;
    let is_one = |(key, _): &&(Key, Node)| names.contains(&&*key.text);
    let entries: Vec<_> = node.entries().iter().filter(is_one).cloned().collect();
    (!entries.is_empty()).then(|| {
        let part = Node::made_up(Value::Map(entries), &section.place());
        (section.clone(), part)
    })
}

//! From the text to what it says, with everything that is wrong or surprising about it.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    hash::Hash,
    ops::Range,
    sync::Arc,
};

use flexgate_schemas::{Route, RouteId, Settings, Upstream, UpstreamId, UpstreamRef, policy::RateLimit};
use serde::de::DeserializeOwned;

use super::{
    super::finding::{ConfigError, Finding, Severity, SourceText},
    Loaded, NodeOverrides, ServerUrl, dialect, identity, interpolate, later,
    protection::{self, Where},
    sections::{self, PathLimit, Proxy, RateLimits, Redis, Security},
    suggest, syntax,
    tree::{Key, Node, Value},
    typed,
};

/// The most mistakes that are reported; after those it is another file that was meant.
const MISTAKES_MAX: usize = 50;

/// Reads a file whose secrets are masked in `source` and not in `text`.
pub(super) fn read(
    source: Arc<SourceText>,
    text: &str,
    variables: &BTreeMap<String, String>,
) -> Result<Loaded, ConfigError> {
    let mut tree = syntax::parse(&source, text).map_err(|mistake| ConfigError(vec![mistake]))?;
    let mut reading = Reading {
        source,
        text,
        findings: Vec::new(),
    };
    reading.without_duplicates(&mut tree);
    reading.resolve(&mut tree, variables);
    reading.known_sections(&tree);
    reading.checked_sections(&tree);

    let security: Security = reading.section(&tree, "security");
    let limits: RateLimits = reading.section(&tree, "rateLimit");
    let node = reading.node(&tree, &limits);
    let settings = dialect::settings(&tree);
    let settings: Settings = reading.value(&settings).unwrap_or_default();
    let upstreams = reading.upstreams(&tree, &security);
    let mut routes = reading.routes(&tree, &security);
    reading.limits_by_path(&tree, &limits, &mut routes);
    for (message, place) in later::found(&tree) {
        reading.warn(message, &place);
    }

    let Reading { source, findings, .. } = reading;
    if findings
        .iter()
        .any(|finding| finding.severity == Severity::Mistake)
    {
        let mut mistakes: Vec<_> = findings
            .into_iter()
            .filter(|finding| finding.severity == Severity::Mistake)
            .collect();
        mistakes.sort_by_key(|mistake| mistake.place.as_ref().map(|place| place.span.start));
        // Of two at one place the second follows from the first.
        mistakes.dedup_by_key(|mistake| mistake.place.as_ref().map(|place| place.span.start));
        mistakes.truncate(MISTAKES_MAX);
        return Err(ConfigError(mistakes));
    }
    Ok(Loaded {
        upstreams,
        routes,
        settings,
        node,
        warnings: findings,
        source,
    })
}

struct Reading<'a> {
    source: Arc<SourceText>,
    text: &'a str,
    findings: Vec<Finding>,
}

impl Reading<'_> {
    fn mistake(&mut self, message: impl Into<String>, place: &Range<usize>, help: Option<String>) {
        let mistake = Finding::mistake(message).at(&self.source, place.clone());
        self.findings.push(Finding { help, ..mistake });
    }

    fn warn(&mut self, message: impl Into<String>, place: &Range<usize>) {
        self.findings
            .push(Finding::warning(message).at(&self.source, place.clone()));
    }

    /// The line of a place, for a message about another one.
    fn line(&self, place: &Range<usize>) -> usize {
        self.text[..place.start].matches('\n').count() + 1
    }

    /// Reads a value, or says what is wrong with it.
    fn value<T: DeserializeOwned>(&mut self, node: &Node) -> Option<T> {
        match typed::read(node, self.text) {
            Ok(value) => Some(value),
            Err(mistakes) => {
                for wrong in mistakes {
                    let place = wrong.place.unwrap_or_else(|| node.place());
                    self.mistake(wrong.message, &place, wrong.help);
                }
                None
            }
        }
    }

    /// Reads a section; one that is absent or empty says nothing.
    fn section<T: DeserializeOwned + Default>(&mut self, tree: &Node, name: &str) -> T {
        match tree.get(name) {
            Some(node) if !matches!(node.value, Value::Null) => self.value(node).unwrap_or_default(),
            _ => T::default(),
        }
    }

    /// Reads a section of which nothing is kept.
    fn check<T: DeserializeOwned + Default>(&mut self, tree: &Node, name: &str) {
        drop(self.section::<T>(tree, name));
    }

    /// A key that is there twice counts the first time.
    fn without_duplicates(&mut self, node: &mut Node) {
        if let Value::Map(entries) = &mut node.value {
            let mut first: HashMap<String, Range<usize>> = HashMap::new();
            entries.retain(|(key, _)| match first.entry(key.text.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(key.place());
                    true
                }
                Entry::Occupied(entry) => {
                    let message = format!(
                        "`{}` is already given in line {}",
                        key.text,
                        self.line(entry.get())
                    );
                    self.mistake(message, &key.place(), Some("keep one of them".to_owned()));
                    false
                }
            });
        }
        for child in node.children_mut() {
            self.without_duplicates(child);
        }
    }

    fn resolve(&mut self, tree: &mut Node, variables: &BTreeMap<String, String>) {
        let mut unresolved = Vec::new();
        interpolate::resolve(tree, self.text, variables, &mut unresolved);
        for wrong in unresolved {
            self.mistake(wrong.message, &wrong.place, Some(wrong.help.to_owned()));
        }
    }

    fn known_sections(&mut self, tree: &Node) {
        if !matches!(tree.value, Value::Map(_) | Value::Null) {
            let help = "begin with `upstreams:` and `routes:`".to_owned();
            self.mistake(
                "a configuration is a mapping of sections",
                &tree.place(),
                Some(help),
            );
        }
        for (key, _) in tree
            .entries()
            .iter()
            .filter(|(key, _)| !sections::NAMES.contains(&&*key.text))
        {
            self.mistake(
                format!("unknown section `{}`", key.text),
                &key.place(),
                suggest::key(&key.text, &sections::NAMES),
            );
        }
    }

    /// Sections of which nothing is kept, and which must make sense all the same.
    fn checked_sections(&mut self, tree: &Node) {
        self.check::<sections::Metrics>(tree, "metrics");
        self.check::<sections::Http>(tree, "http");
        self.check::<sections::Backpressure>(tree, "backpressure");
        self.check::<sections::NamedTimeouts>(tree, "timeouts");
        if let Some(version) = tree.get("version") {
            let written: Option<String> = self.value(version);
            if written.is_some_and(|version| version.split('.').next() != Some("1")) {
                self.mistake(
                    "the format of configuration files has version 1",
                    &version.place(),
                    None,
                );
            }
        }
    }

    fn node(&mut self, tree: &Node, limits: &RateLimits) -> NodeOverrides {
        let proxy: Proxy = self.section(tree, "proxy");
        let logging: sections::Logging = self.section(tree, "logging");
        if let (Some(true), Some((key, _))) = (proxy.trusts_all, tree.entry_at(&["proxy", "trustProxy"])) {
            let help = "name them in `proxy.trustedProxies`: addresses and networks".to_owned();
            self.mistake(
                "whose X-Forwarded-For is believed must be said one by one",
                &key.place(),
                Some(help),
            );
        }
        NodeOverrides {
            host: proxy.host,
            port: proxy.port,
            redis: self.redis(tree, limits),
            log_level: logging.level.map(sections::Level::filter),
            log_format: logging.format.map(Into::into),
        }
    }

    /// The address of Redis: `rateLimit.redis.url`, or put together from the old section.
    fn redis(&mut self, tree: &Node, limits: &RateLimits) -> Option<ServerUrl> {
        let old: Redis = self.section(tree, "redis");
        if let (Some(redis), Some((_, url))) = (&limits.redis, tree.entry_at(&["rateLimit", "redis", "url"]))
        {
            return redis
                .url
                .parse()
                .map_err(|error: String| self.mistake(error, &url.place(), None))
                .ok();
        }
        let (key, _) = tree.entry("redis")?;
        if old.enabled == Some(false) || (old.url.is_none() && old.host.is_none()) {
            return None;
        }
        let password = old.password.filter(|password| !password.is_empty());
        let url = old.url.unwrap_or_else(|| {
            let host = old.host.unwrap_or_default();
            format!(
                "redis://{host}:{}/{}",
                old.port.unwrap_or(6379),
                old.db.unwrap_or(0)
            )
        });
        match url.parse::<ServerUrl>() {
            Ok(url) => Some(url.with_credentials(Some(""), password.as_deref())),
            Err(error) => {
                self.mistake(error, &key.place(), None);
                None
            }
        }
    }

    /// The items of a list section.
    fn items<'t>(&mut self, tree: &'t Node, name: &str) -> &'t [Node] {
        match tree.entry(name) {
            None => &[],
            Some((_, node)) if matches!(node.value, Value::List(_) | Value::Null) => node.items(),
            Some((key, _)) => {
                let help = "begin each item with `- ` on a line of its own".to_owned();
                self.mistake(format!("`{name}` is a list"), &key.place(), Some(help));
                &[]
            }
        }
    }

    /// Reads one item of a list, in either vocabulary.
    fn entity<T: DeserializeOwned>(&mut self, mut node: Node) -> Option<T> {
        for remark in dialect::translate(&mut node) {
            self.warn(remark.message, &remark.place);
        }
        self.value(&node)
    }

    fn upstreams(&mut self, tree: &Node, security: &Security) -> Vec<Upstream> {
        let mut first: HashMap<UpstreamId, Range<usize>> = HashMap::new();
        let mut upstreams = Vec::new();
        for item in self.items(tree, "upstreams") {
            let Some(upstream) = self.entity::<Upstream>(item.clone()) else {
                continue;
            };
            for target in upstream.targets.as_slice() {
                if let Some(objection) = protection::objection(security, &target.url, Where::Upstream) {
                    self.mistake(objection, &item.get("url").unwrap_or(item).place(), None);
                }
            }
            for host in protection::unlisted(security, &upstream) {
                let message = format!(
                    "{host} is not one of `security.allowedHosts`: requests go there all the same, because `upstreams` names it"
                );
                self.warn(message, &item.get("url").unwrap_or(item).place());
            }
            let name = format!("upstream {:?}", upstream.name);
            if self.is_new(&mut first, upstream.name.clone(), item, &name) {
                upstreams.push(upstream);
            }
        }
        upstreams
    }

    fn routes(&mut self, tree: &Node, security: &Security) -> Vec<Route> {
        let mut first: HashMap<RouteId, Range<usize>> = HashMap::new();
        let mut routes = Vec::new();
        for item in self.items(tree, "routes") {
            let Some(route) = self.route(item) else { continue };
            if let UpstreamRef::Url(url) = &route.upstream
                && let Some(objection) = protection::objection(security, url, Where::Route)
            {
                self.mistake(objection, &item.get("upstream").unwrap_or(item).place(), None);
            }
            let name = match item.get("id") {
                Some(_) => format!("the id {:?}", route.id),
                None => "a route for exactly these requests".to_owned(),
            };
            if self.is_new(&mut first, route.id.clone(), item, &name) {
                routes.push(route);
            }
        }
        routes
    }

    fn route(&mut self, item: &Node) -> Option<Route> {
        if item.get("id").is_some() {
            return self.entity(item.clone());
        }
        let mut with_id = item.clone();
        let place = item.place();
        let stand_in = Node::made_up(Value::Text("file".to_owned()), &place);
        with_id.put(Key::made_up("id", &(0..0)), stand_in);
        let mut route: Route = self.entity(with_id)?;
        route.id = identity::derive(&route);
        Some(route)
    }

    fn is_new<K: Hash + Eq>(
        &mut self,
        first: &mut HashMap<K, Range<usize>>,
        id: K,
        item: &Node,
        name: &str,
    ) -> bool {
        match first.entry(id) {
            Entry::Vacant(entry) => {
                entry.insert(item.place());
                true
            }
            Entry::Occupied(entry) => {
                let message = format!("{name} is already there, in line {}", self.line(entry.get()));
                self.mistake(
                    message,
                    &item.place(),
                    Some("change or remove one of the two".to_owned()),
                );
                false
            }
        }
    }

    /// `rateLimit.perRoute` gives limits to routes of this file, by their path exactly as written. A limit that finds
    /// no route is a mistake: it would protect nothing.
    fn limits_by_path(&mut self, tree: &Node, limits: &RateLimits, routes: &mut [Route]) {
        if limits.enabled == Some(false) || limits.per_route.is_none() {
            return;
        }
        let Some((_, list)) = tree.entry_at(&["rateLimit", "perRoute"]) else {
            return;
        };
        for item in list.items() {
            let Some(limit) = self.value::<PathLimit>(item) else {
                continue;
            };
            let mut met = routes
                .iter_mut()
                .filter(|route| route.path.shape() == limit.path.shape())
                .peekable();
            if met.peek().is_none() {
                let help = "give the limit to a route, or write the path of one".to_owned();
                self.mistake(
                    format!("no route has the path {}", limit.path),
                    &item.place(),
                    Some(help),
                );
                continue;
            }
            for route in met {
                route.rate_limit.get_or_insert_with(|| RateLimit {
                    requests: limit.requests,
                    window: limit.window,
                    message: limit.message.clone(),
                });
            }
        }
    }
}

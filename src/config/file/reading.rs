//! From the text to what it says, with everything that is wrong or surprising about it.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    ops::Range,
    sync::Arc,
};

use flexgate_schemas::Settings;
use serde::de::DeserializeOwned;

use super::{
    super::finding::{ConfigError, Finding, SourceText},
    Loaded, NodeOverrides, ServerUrl, dialect, interpolate, later,
    overrides::Overrides,
    sections::{self, Proxy, RateLimits, Redis},
    suggest, syntax,
    tree::{Node, Spot, Value},
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
    let (mut reading, tree) =
        Reading::begin(source, text, variables).map_err(|mistake| ConfigError(vec![mistake]))?;
    reading.known_sections(&tree);
    reading.checked_sections(&tree);

    let limits: RateLimits = reading.section(&tree, "rateLimit");
    let node = reading.node(&tree, &limits);
    let settings = dialect::settings(&tree);
    let settings: Settings = reading.value(&settings).unwrap_or_default();
    let upstreams = reading.upstreams(&tree);
    let mut routes = reading.routes(&tree);
    let (keys, withheld_keys) = reading.keys(&tree);
    let name = tree.get("name").and_then(|name| reading.value(name));
    reading.limits_by_path(&tree, &limits, &mut routes);
    if tree.entries().is_empty() {
        let nothing = Finding::warning(format!("{}: nothing is in it", reading.source.name));
        let help = "to apply it takes away all that it made before";
        reading.findings.push(nothing.with_help(help));
    }
    for (message, place) in later::found(&tree) {
        reading.warn(message, &place);
    }

    if !reading.spots.is_empty() {
        let mut mistakes = reading.mistakes();
        mistakes.sort_by_key(|mistake| mistake.place.as_ref().map(|place| place.span.start));
        // Of two at one place the second follows from the first.
        let start = |mistake: &Finding| mistake.place.as_ref().map(|place| place.span.start);
        mistakes.dedup_by(|next, first| start(next).is_some() && start(next) == start(first));
        mistakes.truncate(MISTAKES_MAX);
        return Err(ConfigError(mistakes));
    }
    let Reading { source, findings, .. } = reading;
    Ok(Loaded {
        name,
        upstreams,
        routes,
        keys,
        withheld_keys,
        settings,
        node,
        warnings: findings,
        source,
    })
}

/// What a file says about the node that reads it, as far as that can be read.
pub(super) fn node(
    source: Arc<SourceText>,
    text: &str,
    variables: &BTreeMap<String, String>,
) -> NodeOverrides {
    let Ok((mut reading, tree)) = Reading::begin(source, text, variables) else {
        return NodeOverrides::default();
    };
    let limits: RateLimits = reading.section(&tree, "rateLimit");
    reading.node(&tree, &limits)
}

/// What has been read so far, and what was found.
pub(super) struct Reading<'a> {
    source: Arc<SourceText>,
    text: &'a str,
    overrides: Overrides,
    findings: Vec<Finding>,
    /// What mistakes point at, by their number among the findings.
    spots: HashMap<usize, Spot>,
}

impl<'a> Reading<'a> {
    /// The text as a tree, each key once, with the values of variables in it. What is no YAML is the only mistake there can be.
    fn begin(
        source: Arc<SourceText>,
        text: &'a str,
        variables: &BTreeMap<String, String>,
    ) -> Result<(Self, Node), Finding> {
        let mut tree = syntax::parse(&source, text)?;
        let mut reading = Self {
            source,
            text,
            overrides: Overrides::default(),
            findings: Vec::new(),
            spots: HashMap::new(),
        };
        reading.without_duplicates(&mut tree);
        reading.resolve(&mut tree, variables);
        reading.override_by(&mut tree, variables);
        Ok((reading, tree))
    }
}

impl Reading<'_> {
    pub(super) fn mistake(&mut self, message: impl Into<String>, spot: Spot, help: Option<String>) {
        let mistake = match self.overrides.at(&spot.span) {
            Some(variable) => Finding::mistake(format!("{variable}: {}", message.into())),
            None => Finding::mistake(message).at(&self.source, spot.span.clone()),
        };
        self.spots.insert(self.findings.len(), spot);
        self.findings.push(Finding { help, ..mistake });
    }

    /// The mistakes with their pointers. They are looked for in the text as it is, in which a key may be there twice.
    fn mistakes(mut self) -> Vec<Finding> {
        let tree = syntax::parse(&self.source, self.text).ok();
        let numbered = std::mem::take(&mut self.findings).into_iter().enumerate();
        let mistakes = numbered.filter_map(|(number, finding)| {
            let spot = self.spots.get(&number)?;
            Some(Finding {
                pointer: tree.as_ref().and_then(|tree| tree.pointer_to(spot)),
                ..finding
            })
        });
        mistakes.collect()
    }

    pub(super) fn warn(&mut self, message: impl Into<String>, place: &Range<usize>) {
        self.findings.push(match self.overrides.at(place) {
            Some(variable) => Finding::warning(format!("{variable}: {}", message.into())),
            None => Finding::warning(message).at(&self.source, place.clone()),
        });
    }

    /// The line of a place, for a message about another one.
    pub(super) fn line(&self, place: &Range<usize>) -> usize {
        let before = self.text.get(..place.start).unwrap_or(self.text);
        before.matches('\n').count() + 1
    }

    /// Reads a value, or says what is wrong with it.
    pub(super) fn value<T: DeserializeOwned>(&mut self, node: &Node) -> Option<T> {
        match typed::read(node, self.text) {
            Ok(value) => Some(value),
            Err(mistakes) => {
                for wrong in mistakes {
                    let spot = wrong.place.unwrap_or_else(|| node.spot());
                    self.mistake(wrong.message, spot, wrong.help);
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
                    self.mistake(message, key.spot(), Some("keep one of them".to_owned()));
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
            let spot = Spot {
                span: wrong.place,
                is_key: false,
            };
            self.mistake(wrong.message, spot, Some(wrong.help.to_owned()));
        }
    }

    fn override_by(&mut self, tree: &mut Node, variables: &BTreeMap<String, String>) {
        let mut unknown = Vec::new();
        self.overrides = Overrides::put(tree, self.text, variables, &mut unknown);
        for wrong in unknown {
            let spot = Spot {
                span: wrong.place,
                is_key: false,
            };
            self.mistake(wrong.message, spot, wrong.help);
        }
    }

    fn known_sections(&mut self, tree: &Node) {
        if !matches!(tree.value, Value::Map(_) | Value::Null) {
            let help = "begin with `upstreams:` and `routes:`".to_owned();
            self.mistake(
                "a configuration is a mapping of sections",
                tree.spot(),
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
                key.spot(),
                suggest::key(&key.text, &sections::NAMES),
            );
        }
    }

    /// Sections of which nothing is kept here, and which must make sense all the same.
    fn checked_sections(&mut self, tree: &Node) {
        self.check::<sections::Security>(tree, "security");
        self.check::<sections::Metrics>(tree, "metrics");
        self.check::<sections::Http>(tree, "http");
        self.check::<sections::Backpressure>(tree, "backpressure");
        self.check::<sections::NamedTimeouts>(tree, "timeouts");
        if let Some(version) = tree.get("version") {
            let written: Option<String> = self.value(version);
            if written.is_some_and(|version| version.split('.').next() != Some("1")) {
                self.mistake(
                    "the format of configuration files has version 1",
                    version.spot(),
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
                key.spot(),
                Some(help),
            );
        }
        NodeOverrides {
            host: proxy.host,
            port: proxy.port,
            tls: proxy.tls,
            redis: self.redis(tree, limits),
            budgets: limits.backend,
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
                .map_err(|error: String| self.mistake(error, url.spot(), None))
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
                self.mistake(error, key.spot(), None);
                None
            }
        }
    }
}

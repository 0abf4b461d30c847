//! The streams that FlexGate needs, and how an operator's credentials make them.

use std::time::Duration;

use async_nats::jetstream::{
    self, kv,
    stream::{Config, DiscardPolicy, RetentionPolicy},
};

use super::{Link, STORAGE};

/// How the streams and subjects of one cluster are called: `FLEXGATE` gives `FLEXGATE_CONFIG` and `flexgate.config.>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    streams: String,
    subjects: String,
}

/// Why the streams could not be made as they must be.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The prefix cannot be part of a stream's name and a subject.
    #[error("{0:?} is not a stream prefix: letters, digits and `_`, at most 32")]
    Prefix(String),
    /// JetStream is off, or the server is too old.
    #[error("{0}")]
    Server(String),
    /// The server said no.
    #[error("stream {stream}: {problem}")]
    Stream {
        /// Which.
        stream: String,
        /// What it said.
        problem: String,
    },
}

/// The lowest JetStream API level that keeps every setting we need: nats-server 2.12.
pub const API_LEVEL_MIN: usize = 2;

impl Names {
    /// Names with a prefix.
    pub fn new(prefix: &str) -> Result<Self, ProvisionError> {
        let valid = (1..=32).contains(&prefix.len())
            && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !valid {
            return Err(ProvisionError::Prefix(prefix.to_owned()));
        }
        Ok(Self {
            streams: prefix.to_ascii_uppercase(),
            subjects: prefix.to_ascii_lowercase(),
        })
    }

    /// The stream of commits.
    pub fn config(&self) -> String {
        format!("{}_CONFIG", self.streams)
    }

    /// The stream of alerts.
    pub fn alerts(&self) -> String {
        format!("{}_ALERTS", self.streams)
    }

    /// The stream of outcomes.
    pub fn outcomes(&self) -> String {
        format!("{}_OUTCOMES", self.streams)
    }

    /// The stream of closed hours.
    pub fn rollups(&self) -> String {
        format!("{}_ROLLUPS", self.streams)
    }

    /// The stream of what was asked of the admin API and is no commit: refusals, mostly.
    pub fn admin(&self) -> String {
        format!("{}_ADMIN", self.streams)
    }

    /// The stream of what projections could not apply.
    pub fn dead_letters(&self) -> String {
        format!("{}_DEADLETTER", self.streams)
    }

    /// The bucket of nodes.
    pub fn nodes(&self) -> String {
        format!("{}_NODES", self.streams)
    }

    /// What every commit's subject begins with.
    pub fn config_subject_prefix(&self) -> String {
        format!("{}.config.", self.subjects)
    }

    /// The subject of an alert.
    pub fn alert_subject(&self, type_name: &str) -> String {
        format!("{}.alert.{type_name}", self.subjects)
    }

    /// The subject of the frames of a node; `*` for all nodes.
    pub fn outcome_subject(&self, node: &str) -> String {
        format!("{}.outcome.{node}", self.subjects)
    }

    /// The subject of a closed hour, written `yyyymmddhh`; `*` for all hours.
    pub fn rollup_subject(&self, hour: &str) -> String {
        format!("{}.rollup.hour.{hour}", self.subjects)
    }

    /// The subject of what was asked and not done, by how that ended; `*` for all of it.
    pub fn admin_subject(&self, verb: &str) -> String {
        format!("{}.admin.{verb}", self.subjects)
    }

    /// The subject of what a projection could not apply; `*` for all projections.
    pub fn dead_letter_subject(&self, projection: &str) -> String {
        format!("{}.deadletter.{projection}", self.subjects)
    }

    /// The core subject on which those who keep projections are asked for something.
    pub fn projection_subject(&self) -> String {
        format!("{}.projection", self.subjects)
    }

    /// The core subject on which a node says what it serves; `*` for all nodes.
    pub fn serving_subject(&self, node: &str) -> String {
        format!("{}.serving.{node}", self.subjects)
    }

    /// CONFIG first, then those that may let go of what is old.
    fn stream_configs(&self, replicas: usize) -> Vec<Config> {
        // Limits are set aside when a stream is made, so they should fit on a laptop too; an operator may raise them.
        const MIB: i64 = 1 << 20;
        let base = Config {
            retention: RetentionPolicy::Limits,
            storage: STORAGE,
            num_replicas: replicas,
            allow_direct: false, // reads must come from the leader: they decide whether our history is the log's
            ..Config::default()
        };
        let config = Config {
            name: self.config(),
            description: Some("The configuration: one message is one commit".to_owned()),
            subjects: vec![format!("{}>", self.config_subject_prefix())],
            discard: DiscardPolicy::New,
            max_bytes: 1024 * MIB, // about a million commits
            deny_delete: true,
            deny_purge: true,
            // Longer than any retry of one append.
            duplicate_window: Duration::from_mins(2),
            ..base.clone()
        };
        let expiring = |name: String, what: &str, subject: String, days: u64, mib: i64| Config {
            name,
            description: Some(what.to_owned()),
            subjects: vec![subject],
            discard: DiscardPolicy::Old,
            max_age: Duration::from_hours(24 * days),
            max_bytes: mib * MIB,
            // Longer than a server is away for a restart, after which everything unacknowledged is sent again.
            duplicate_window: Duration::from_mins(10),
            ..base.clone()
        };
        vec![
            config,
            expiring(
                self.outcomes(),
                "What became of each request: one message is a frame of many",
                self.outcome_subject("*"),
                3,
                1024, // forty million outcomes
            ),
            expiring(
                self.rollups(),
                "What was counted in each hour, for the time when its frames are gone",
                self.rollup_subject("*"),
                3650,
                256, // fifty routes for some years
            ),
            expiring(
                self.alerts(),
                "What a person or a webhook should hear of",
                self.alert_subject(">"),
                400,
                64,
            ),
            Config {
                // Whoever is denied often pushes out those who were denied before, and nothing else.
                max_messages_per_subject: 100_000,
                ..expiring(
                    self.admin(),
                    "What was asked of the admin API and is no commit",
                    self.admin_subject("*"),
                    400,
                    256, // as many on each of its subjects
                )
            },
            expiring(
                self.dead_letters(),
                "What a projection could not apply, with the reason",
                self.dead_letter_subject("*"),
                400,
                64,
            ),
        ]
    }
}

/// Makes what is missing, and refuses to go on with a stream that does not keep what it must.
pub async fn provision(link: &Link, names: &Names, replicas: usize) -> Result<(), ProvisionError> {
    check_server(link).await?;
    for config in names.stream_configs(replicas) {
        provision_stream(link.jetstream(), config).await?;
    }
    let bucket = kv::Config {
        bucket: names.nodes(),
        description: "The newest heartbeat of each node".to_owned(),
        history: 1,
        max_bytes: 16 << 20,
        storage: STORAGE,
        num_replicas: replicas,
        ..kv::Config::default()
    };
    if link.jetstream().get_key_value(names.nodes()).await.is_err() {
        link.jetstream()
            .create_key_value(bucket)
            .await
            .map_err(|error| ProvisionError::Stream {
                stream: names.nodes(),
                problem: error.to_string(),
            })?;
    }
    Ok(())
}

/// How a stream is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFound {
    /// It keeps what it must, and has so many messages.
    AsItMustBe(u64),
    /// It does not keep this, although it must.
    Broken(&'static str),
    /// It is not there, or this user may not see it.
    Missing,
}

/// How each stream is. Changes nothing.
pub async fn examine(jetstream: &jetstream::Context, names: &Names) -> Vec<(String, StreamFound)> {
    let mut found = Vec::new();
    for wanted in names.stream_configs(1) {
        let is = match jetstream.get_stream(&wanted.name).await {
            Err(_) => StreamFound::Missing,
            Ok(stream) => match broken_promise(&wanted, &stream.cached_info().config) {
                Some(what) => StreamFound::Broken(what),
                None => StreamFound::AsItMustBe(stream.cached_info().state.messages),
            },
        };
        found.push((wanted.name, is));
    }
    found
}

async fn check_server(link: &Link) -> Result<(), ProvisionError> {
    let account = link.jetstream().query_account().await.map_err(|error| {
        ProvisionError::Server(format!(
            "NATS has no JetStream for us ({error}): start nats-server with `-js`"
        ))
    })?;
    let level = account.requests.level;
    if level < API_LEVEL_MIN {
        return Err(ProvisionError::Server(format!(
            "this nats-server has JetStream API level {level}, FlexGate needs {API_LEVEL_MIN} (nats-server 2.12 or newer)"
        )));
    }
    Ok(())
}

async fn provision_stream(jetstream: &jetstream::Context, wanted: Config) -> Result<(), ProvisionError> {
    let stream = wanted.name.clone();
    let problem = |problem: String| ProvisionError::Stream {
        stream: stream.clone(),
        problem,
    };
    let kept = match jetstream.get_stream(&wanted.name).await {
        Ok(existing) => existing.cached_info().config.clone(),
        Err(_) => jetstream
            .create_stream(wanted.clone())
            .await
            .map_err(|error| problem(error.to_string()))?
            .cached_info()
            .config
            .clone(),
    };
    match broken_promise(&wanted, &kept) {
        Some(what) => Err(problem(format!(
            "it exists, but {what}; mend it with `nats stream edit`, or use another prefix"
        ))),
        None => Ok(()),
    }
}

/// What a stream does not keep although it must; limits may be an operator's own.
fn broken_promise(wanted: &Config, kept: &Config) -> Option<&'static str> {
    let forever = wanted.deny_delete;
    [
        (wanted.subjects != kept.subjects, "it listens to other subjects"),
        (
            wanted.discard != kept.discard,
            "it discards the wrong end when it is full",
        ),
        (forever && !kept.deny_delete, "messages can be deleted from it"),
        (forever && !kept.deny_purge, "it can be purged"),
        (forever && !kept.max_age.is_zero(), "its messages expire"),
        (forever && kept.max_messages > 0, "it drops messages by count"),
        (
            wanted.retention != kept.retention,
            "its retention is not `limits`",
        ),
    ]
    .into_iter()
    .find_map(|(broken, what)| broken.then_some(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_forgets_commits_is_not_accepted() {
        let names = Names::new("FLEXGATE").unwrap();
        let streams = names.stream_configs(1);
        let (config, alerts) = (&streams[0], &streams[3]);
        assert_eq!(broken_promise(config, config), None);
        let expiring = Config {
            max_age: Duration::from_secs(1),
            ..config.clone()
        };
        assert_eq!(broken_promise(config, &expiring), Some("its messages expire"));
        let deletable = Config {
            deny_delete: false,
            ..config.clone()
        };
        assert_eq!(
            broken_promise(config, &deletable),
            Some("messages can be deleted from it")
        );
        let shorter = Config {
            max_age: Duration::from_secs(1),
            ..alerts.clone()
        };
        assert_eq!(broken_promise(alerts, &shorter), None);
    }

    #[test]
    fn a_prefix_names_streams_and_subjects() {
        let names = Names::new("Team_A").unwrap();
        assert_eq!(
            (names.config(), names.config_subject_prefix()),
            ("TEAM_A_CONFIG".into(), "team_a.config.".into())
        );
        assert!(Names::new("a.b").is_err() && Names::new("").is_err());
    }
}

//! The fold: what a reader knows after reading the log up to a place. Pure.

use std::sync::Arc;

use flexgate_schemas::{
    Chain, ClusterId, Commit, CommitId, Event, Timestamp,
    commit::{Idempotency, ReadError},
};

use super::{
    store::Record,
    whole::{Whole, is_part},
};
use crate::domain::{self, ConfigState, Stamp};

/// How many of the last commits are known by id and by idempotency key.
pub const REMEMBERED_COMMITS: usize = 10_000;

/// Everything that is known at a place in the log. Cloning shares nearly all of it.
#[derive(Debug, Clone, Default)]
pub struct Fold {
    /// The configuration.
    pub state: ConfigState,
    /// Whose; known from the genesis on.
    pub cluster: Option<ClusterId>,
    /// Which history; 0 before any genesis.
    pub generation: u64,
    /// The sequence of the last commit; 0 before the first.
    pub revision: u64,
    /// The chain up to and with that commit.
    pub chain: Chain,
    /// The chain before that commit, by which the commit in the log is compared with the one that was folded.
    pub parent: Chain,
    /// The last sequence read, which is beyond `revision` when parts of an unfinished change set follow.
    pub last_sequence: u64,
    /// When the last commit was decided.
    pub at: Option<Timestamp>,
    /// What the last commits were.
    pub remembered: Remembered,
}

/// Why a reader goes no further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Freeze {
    /// The next commit cannot be read.
    #[error("revision {sequence} cannot be read: {error}")]
    Unreadable {
        /// Its sequence.
        sequence: u64,
        /// What is wrong with it.
        error: ReadError,
    },
    /// The next commit does not continue what was read.
    #[error(
        "revision {sequence} does not continue revision {revision}: {what} differs; the log was rewound or mixed up"
    )]
    Discontinued {
        /// The commit that does not fit.
        sequence: u64,
        /// The last one that did.
        revision: u64,
        /// `parent chain`, `generation` or `cluster`.
        what: &'static str,
    },
    /// The log no longer holds what was read.
    #[error("the log no longer continues revision {revision} of generation {generation}: {what}")]
    Rewound {
        /// The last revision read.
        revision: u64,
        /// Its generation.
        generation: u64,
        /// What was found in its place.
        what: &'static str,
    },
}

impl Fold {
    /// Takes the next message. On an error nothing has changed.
    pub fn apply(&mut self, message: &Whole) -> Result<Applied, Freeze> {
        let Whole { record, parts } = message;
        if is_part(record) {
            self.last_sequence = record.sequence;
            return Ok(Applied::Nothing);
        }
        let sequence = record.sequence;
        let commit = Commit::from_payloads(&record.payload, parts)
            .map_err(|error| Freeze::Unreadable { sequence, error })?;
        let adopted = commit.is_genesis() && commit.generation > self.generation;
        let known = |cluster: &ClusterId| self.cluster.as_ref().is_none_or(|own| own == cluster);
        let discontinued = |what| Freeze::Discontinued {
            sequence,
            revision: self.revision,
            what,
        };
        if !known(&commit.cluster) {
            return Err(discontinued("the cluster"));
        }
        if !adopted && commit.generation != self.generation {
            return Err(discontinued("the generation"));
        }
        if !adopted && commit.parent != self.chain {
            return Err(discontinued("the parent chain"));
        }
        if adopted {
            self.state = ConfigState::default();
            self.cluster = Some(commit.cluster.clone());
            self.generation = commit.generation;
        }
        let stamp = Stamp {
            revision: sequence,
            at: commit.at,
        };
        for event in &*commit.events {
            domain::evolve(&mut self.state, event, &stamp);
        }
        self.parent = commit.parent;
        self.chain = commit.parent.then(&record.payload);
        self.revision = sequence;
        self.last_sequence = sequence;
        self.at = Some(commit.at);
        self.remembered.add(&commit, sequence);
        Ok(if adopted {
            Applied::Genesis(Arc::new(commit))
        } else {
            Applied::Commit(Arc::new(commit))
        })
    }

    /// Whether the message at our revision is the commit that was folded.
    pub fn matches(&self, record: &Record) -> bool {
        self.parent.then(&record.payload) == self.chain
    }
}

/// What a message did.
#[derive(Debug, Clone)]
pub enum Applied {
    /// It means nothing by itself.
    Nothing,
    /// A history begins: all that was known before is void.
    Genesis(Arc<Commit>),
    /// The configuration changed.
    Commit(Arc<Commit>),
}

/// The last [`REMEMBERED_COMMITS`] commits, so that retries and repetitions are recognised.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    order: im::Vector<CommitId>,
    commits: im::HashMap<CommitId, Arc<Kept>>,
    keys: im::HashMap<Box<str>, CommitId>,
}

/// What is kept of a commit.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Its id.
    pub commit: CommitId,
    /// Its sequence.
    pub revision: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// The caller's key, with the events that the answer was made of.
    pub idempotency: Option<(Idempotency, Arc<[Event]>)>,
    /// Whether those lie in parts: then they are not kept here a second time, but read again from the log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_parts: bool,
}

impl Remembered {
    fn add(&mut self, commit: &Commit, revision: u64) {
        let in_parts = !commit.parts.is_empty();
        let events = if in_parts {
            Arc::default()
        } else {
            commit.events.clone()
        };
        let idempotency = commit.idempotency.clone().map(|key| (key, events));
        self.keep(Kept {
            commit: commit.id.clone(),
            revision,
            at: commit.at,
            idempotency,
            in_parts,
        });
    }

    fn keep(&mut self, kept: Kept) {
        if let Some((idempotency, _)) = &kept.idempotency {
            self.keys.insert(idempotency.key.clone(), kept.commit.clone());
        }
        self.order.push_back(kept.commit.clone());
        self.commits.insert(kept.commit.clone(), Arc::new(kept));
        if self.order.len() > REMEMBERED_COMMITS {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.order.pop_front() else {
            return;
        };
        let forgotten = self.commits.remove(&oldest);
        if let Some((idempotency, _)) = forgotten.as_ref().and_then(|kept| kept.idempotency.as_ref())
            && self.keys.get(&idempotency.key) == Some(&oldest)
        {
            self.keys.remove(&idempotency.key);
        }
    }

    /// The revision of a commit, if it is one of the last.
    pub fn revision_of(&self, commit: &CommitId) -> Option<u64> {
        self.commits.get(commit).map(|kept| kept.revision)
    }

    /// What a key was used for, if that was one of the last commits.
    pub fn by_key(&self, key: &str) -> Option<&Arc<Kept>> {
        self.keys.get(key).and_then(|commit| self.commits.get(commit))
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.order
            .iter()
            .filter_map(|commit| self.commits.get(commit).map(|kept| &**kept))
    }
}

impl FromIterator<Kept> for Remembered {
    fn from_iter<I: IntoIterator<Item = Kept>>(kept: I) -> Self {
        let mut remembered = Self::default();
        kept.into_iter().for_each(|kept| remembered.keep(kept));
        remembered
    }
}

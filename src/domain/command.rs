//! What may be asked of the configuration, and what comes of it.

use flexgate_schemas::{
    Event, KeyId, Route, RouteId, Secret, Settings, Timestamp, Upstream, UpstreamId,
    key::{Basic, GivenKey, KeyTerms, SecretHash},
};
use serde_json::Value;

use super::{ApplyFile, Warning};

/// How many entities are decided about in a few milliseconds.
const SMALL_MAX: usize = 500;

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A route that is to be. One that exists with the same value is what was asked for already.
    CreateRoute(Route),
    /// A route that is to be different. It must exist.
    PutRoute(Route),
    /// A route of which some fields are to be different.
    PatchRoute {
        /// Which.
        id: RouteId,
        /// A JSON Merge Patch (RFC 7396), with the fields of a route in any spelling that is read.
        patch: Value,
    },
    /// A route that is to be gone.
    DeleteRoute(RouteId),
    /// As for routes.
    CreateUpstream(Upstream),
    /// As for routes.
    PutUpstream(Upstream),
    /// As for routes.
    PatchUpstream {
        /// Which.
        name: UpstreamId,
        /// A JSON Merge Patch (RFC 7396).
        patch: Value,
    },
    /// As for routes; no route may use it.
    DeleteUpstream(UpstreamId),
    /// New global settings in place of the old ones.
    PutSettings(Settings),
    /// A key that is to be, with a secret that was made for it.
    CreateKey {
        /// Made for it, too.
        id: KeyId,
        /// The hash of the secret.
        sha256: SecretHash,
        /// What it is to open.
        terms: KeyTerms,
        /// Its user name and password, if it is to have any.
        basic: Option<Basic>,
    },
    /// A key that is to have other terms. It must exist.
    PutKey {
        /// Which.
        id: KeyId,
        /// What it is to open.
        terms: KeyTerms,
    },
    /// A key of whose terms some are to be different.
    PatchKey {
        /// Which.
        id: KeyId,
        /// A JSON Merge Patch (RFC 7396).
        patch: Value,
    },
    /// A key that is to have another secret.
    RotateKey {
        /// Which.
        id: KeyId,
        /// The hash of the new one.
        sha256: SecretHash,
        /// Now, by the caller's clock.
        at: Timestamp,
        /// How long the secrets that it has are valid at the most.
        until: Timestamp,
    },
    /// A key that is to sign requests with another secret, or at all.
    SignKey {
        /// Which.
        id: KeyId,
        /// It, sealed for this key.
        secret: Secret,
        /// Now, by the caller's clock.
        at: Timestamp,
        /// How long the secrets that it signs with are valid at the most.
        until: Timestamp,
    },
    /// A key that is to sign nothing any more.
    UnsignKey(KeyId),
    /// A key that is to have this user name and password in the place of those that it has, or none.
    SetBasic {
        /// Which.
        id: KeyId,
        /// Them.
        basic: Option<Basic>,
    },
    /// A key that is to open nothing any more, for good.
    RevokeKey {
        /// Which.
        id: KeyId,
        /// Now, by the caller's clock.
        at: Timestamp,
    },
    /// A key that is to be gone.
    DeleteKey(KeyId),
    /// That all of these are as written here: what is missing is created, what differs is updated, nothing is deleted.
    /// Only the result has to make sense, so the order does not matter. All of it, or nothing.
    Apply {
        /// The upstreams, each once.
        upstreams: Vec<Upstream>,
        /// The routes, each once.
        routes: Vec<Route>,
        /// The settings, if they are to be set.
        settings: Option<Settings>,
        /// The keys, each once. One that is there keeps its secrets: it may have got others since.
        keys: Vec<KnownKey>,
        /// Keys that are there and whose secrets are not said, each once: nothing becomes of them.
        withheld: Vec<KeyId>,
    },
    /// That what belongs to a file is as it says, and nothing else of it is there. All of it, or nothing.
    ApplyFile(Box<ApplyFile>),
}

impl Command {
    /// Whether it may take so long to decide that nothing else should wait for it.
    pub fn is_large(&self) -> bool {
        let entities = match self {
            Self::Apply {
                upstreams,
                routes,
                keys,
                ..
            } => upstreams.len() + routes.len() + keys.len(),
            Self::ApplyFile(file) => file.upstreams.len() + file.routes.len() + file.keys.len(),
            _ => 1,
        };
        entities > SMALL_MAX
    }
}

/// A key whose first secret somebody else has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// The hash of that secret, from which the id follows.
    pub sha256: SecretHash,
    /// What it opens.
    pub terms: KeyTerms,
    /// Its user name and password, in the place of those that it has; none: those stay.
    pub basic: Option<Basic>,
}

impl From<&GivenKey> for KnownKey {
    fn from(given: &GivenKey) -> Self {
        Self {
            sha256: given.key,
            terms: given.terms(),
            basic: given.basic.clone(),
        }
    }
}

impl KnownKey {
    /// Its identity.
    pub fn id(&self) -> KeyId {
        self.sha256.derived_id()
    }
}

/// What the caller believes about the entity that a command is about; each of them, for [`Command::Apply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing in particular.
    Any,
    /// That it does not exist (`If-None-Match: *`).
    Absent,
    /// That this commit was the last to change it (`If-Match`).
    Revision(u64),
}

/// What a command comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What happens. Nothing, if everything is already as was asked.
    pub events: Vec<Event>,
    /// What the caller should know and may have meant otherwise.
    pub warnings: Vec<Warning>,
}

//! Why a command is refused.

use std::fmt;

use flexgate_schemas::{FileName, KeyId, PathPattern, RouteId, UpstreamId, event::Entity, key::Username};
use serde_path_to_error::{Path, Segment};

use crate::egress::Prohibited;

/// A reason, with what to do about it. A refused command changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is nothing to change.
    #[error("there is no {0}")]
    NotFound(Entity),
    /// The id of something new is taken.
    #[error("{0} exists already, with another value: update that one, or choose another id")]
    AlreadyExists(Entity),
    /// The caller's `If-Match` or `If-None-Match` does not hold.
    #[error("{entity} is not what the caller expects; it {}: read it again and decide anew", last_changed(*.current))]
    Stale {
        /// What it is about.
        entity: Entity,
        /// The last commit that changed it, if it exists.
        current: Option<u64>,
    },
    /// Two routes for exactly the same requests.
    #[error(
        "route {existing:?} has the same host, path, methods and predicates: change that one, or let this one match something else"
    )]
    DuplicateRoute {
        /// The other one.
        existing: RouteId,
    },
    /// A route to an upstream that is not there.
    #[error("there is no upstream {name:?}{}: create it first, or give a URL", did_you_mean(.suggestion.as_ref()))]
    UnknownUpstream {
        /// As given.
        name: UpstreamId,
        /// One that may have been meant.
        suggestion: Option<UpstreamId>,
    },
    /// An upstream that is to go while routes need it.
    #[error(
        "upstream {name:?} is used by {}: change or delete those first", used_by(.routes, *.count)
    )]
    UpstreamInUse {
        /// Which.
        name: UpstreamId,
        /// The first few.
        routes: Vec<RouteId>,
        /// How many there are in all.
        count: usize,
    },
    /// A bound is reached.
    #[error("there are {limit} {kind} already, which is the most there may be")]
    TooMany {
        /// Of what.
        kind: &'static str,
        /// The bound.
        limit: usize,
    },
    /// Two ways to change the path at once.
    #[error("`stripPath` and `rewrite` exclude each other: a rewrite says the whole path")]
    StripAndRewrite,
    /// A rewrite that cannot be filled.
    #[error("the rewrite uses {name:?}, which the path {pattern} does not have")]
    RewriteName {
        /// The name, or `*`.
        name: String,
        /// The route's path.
        pattern: PathPattern,
    },
    /// A value that cannot be.
    #[error("{}{detail}", located(.pointer))]
    Invalid {
        /// Where, as a JSON Pointer (RFC 6901) into the entity; empty for the whole of it.
        pointer: String,
        /// What is wrong there, and what would be right.
        detail: String,
    },
    /// A target that no request may go to.
    #[error("{reason}")]
    Prohibited {
        /// Where its URL stands, as a JSON Pointer (RFC 6901) into the entity.
        pointer: String,
        /// Why not.
        reason: Prohibited,
    },
    /// A new secret for a key that opens nothing any more.
    #[error("key {0:?} is revoked, which is for good: create another one")]
    KeyRevoked(KeyId),
    /// Two keys with the same user name.
    #[error(
        "key {key:?} has the user name {:?} already: choose another one, or take it from that key",
        username.as_str()
    )]
    UsernameTaken {
        /// It.
        username: Username,
        /// Whose it is.
        key: KeyId,
    },
    /// One entity twice in one change set.
    #[error("it is listed twice: keep one of them")]
    ListedTwice,
    /// A file wants otherwise what others have decided.
    #[error(
        "the file {:?} contradicts what was done since: {}; bring it in line with what is there, or apply it with `force`",
        .file.to_string(), listed(.conflicts)
    )]
    FileConflicts {
        /// Which file.
        file: FileName,
        /// All that it contradicts; at least one.
        conflicts: Vec<Conflict>,
    },
    /// A file that has nothing of what it had.
    #[error(
        "the file {:?} has nothing of the {count} entities that are its own: if it is another file of that name, give it a `name` of \
         its own; if they are to go, apply it with `force`",
        .file.to_string()
    )]
    NothingLeft {
        /// Which file.
        file: FileName,
        /// How many upstreams, routes and keys are its own; two at least.
        count: usize,
    },
    /// One of several in a change set, for one of the reasons above.
    #[error("{item}: {refusal}")]
    Item {
        /// Which.
        item: Entity,
        /// Why.
        refusal: Box<Refusal>,
    },
}

/// An entity that a file and somebody else want differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Which.
    pub entity: Entity,
    /// What the file comes up against.
    pub why: Contradiction,
}

/// What a file comes up against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contradiction {
    /// Somebody changed it, and then the file did.
    Changed(u64),
    /// Somebody deleted it, and then the file changed it.
    Deleted,
    /// Somebody changed it, and the file has it no more.
    GoneThoughChanged(u64),
    /// It was not made by a file, and is not as the file says.
    NotOwned(u64),
    /// It belongs to another file.
    OtherFile(FileName),
}

impl fmt::Display for Conflict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entity = &self.entity;
        match &self.why {
            Contradiction::Changed(revision) => {
                write!(
                    out,
                    "{entity} was changed by revision {revision}, and differently by the file"
                )
            }
            Contradiction::Deleted => write!(out, "{entity} was deleted, and changed by the file"),
            Contradiction::GoneThoughChanged(revision) => {
                write!(
                    out,
                    "{entity} was changed by revision {revision}, and is not in the file any more"
                )
            }
            Contradiction::NotOwned(revision) => {
                write!(
                    out,
                    "{entity} is of revision {revision} and no file's own, and the file has another value"
                )
            }
            Contradiction::OtherFile(file) => {
                write!(out, "{entity} belongs to the file {:?}", file.to_string())
            }
        }
    }
}

impl Refusal {
    /// The kind for programs: stable, `snake_case`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::AlreadyExists(_) => "already_exists",
            Self::Stale { .. } => "stale",
            Self::DuplicateRoute { .. } => "duplicate_route",
            Self::UnknownUpstream { .. } => "unknown_upstream",
            Self::UpstreamInUse { .. } => "upstream_in_use",
            Self::TooMany { .. } => "too_many",
            Self::StripAndRewrite => "strip_and_rewrite",
            Self::RewriteName { .. } => "rewrite_name",
            Self::Invalid { .. } => "invalid",
            Self::Prohibited { .. } => "destination_prohibited",
            Self::KeyRevoked(_) => "key_revoked",
            Self::UsernameTaken { .. } => "username_taken",
            Self::ListedTwice => "listed_twice",
            Self::FileConflicts { .. } => "file_conflict",
            Self::NothingLeft { .. } => "nothing_left",
            Self::Item { refusal, .. } => refusal.code(),
        }
    }

    /// The field at fault, as a JSON Pointer into its entity, if it is one field's fault.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::UnknownUpstream { .. } => Some("/upstream"),
            Self::UsernameTaken { .. } => Some("/basic/username"),
            Self::StripAndRewrite | Self::RewriteName { .. } => Some("/rewrite"),
            Self::Invalid { pointer, .. } | Self::Prohibited { pointer, .. } => Some(pointer),
            Self::Item { refusal, .. } => refusal.pointer(),
            Self::NotFound(_)
            | Self::AlreadyExists(_)
            | Self::Stale { .. }
            | Self::DuplicateRoute { .. }
            | Self::UpstreamInUse { .. }
            | Self::TooMany { .. }
            | Self::KeyRevoked(_)
            | Self::ListedTwice
            | Self::FileConflicts { .. }
            | Self::NothingLeft { .. } => None,
        }
    }
}

/// Where in a document reading failed, as a JSON Pointer (RFC 6901).
pub fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        let token = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key: name } | Segment::Enum { variant: name } => {
                name.replace('~', "~0").replace('/', "~1")
            }
            Segment::Unknown => break,
        };
        pointer.push('/');
        pointer.push_str(&token);
    }
    pointer
}

/// How many conflicts are told in one sentence.
const CONFLICTS_TOLD: usize = 5;

fn listed(conflicts: &[Conflict]) -> String {
    let told: Vec<_> = conflicts
        .iter()
        .take(CONFLICTS_TOLD)
        .map(Conflict::to_string)
        .collect();
    let more = match conflicts.len().saturating_sub(CONFLICTS_TOLD) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("{}{more}", told.join("; "))
}

fn last_changed(revision: Option<u64>) -> String {
    revision.map_or_else(
        || "does not exist".to_owned(),
        |revision| format!("was last changed by revision {revision}"),
    )
}

fn did_you_mean(suggestion: Option<&UpstreamId>) -> String {
    suggestion.map_or_else(String::new, |name| format!("; did you mean {name:?}"))
}

fn used_by(routes: &[RouteId], count: usize) -> String {
    let names: Vec<_> = routes.iter().map(|id| format!("{id:?}")).collect();
    let noun = if count == 1 { "route" } else { "routes" };
    format!("{noun} {}", first_of(&names, count))
}

/// The first few of so many, by name.
pub(super) fn first_of(names: &[String], count: usize) -> String {
    let more = match count.saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", names.join(", "))
}

fn located(pointer: &str) -> String {
    if pointer.is_empty() {
        String::new()
    } else {
        format!("{pointer}: ")
    }
}

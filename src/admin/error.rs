//! Why the API says no, and the one place that turns it into a status.

use axum::response::{IntoResponse, Response};
use flexgate_schemas::NodeId;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::attempt::MayBeDone;
use crate::{
    config::{Finding, Place},
    domain::Refusal,
    journal::{TransactError, store::StoreError},
    listener::around::refuse,
    membership::ForgetError,
    problem::{FieldError, Problem},
    projectors::AskError,
};

/// Why a request is not answered as it hoped.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It says nothing of who sends it.
    #[error("send `Authorization: Bearer <token>`; the token is in {found_in}")]
    NoToken {
        /// Where the token is.
        found_in: Box<str>,
    },
    /// It has another token.
    #[error("this is not the token; it is in {found_in}")]
    WrongToken {
        /// Where the right one is.
        found_in: Box<str>,
    },
    /// Nothing has this id, or can have it.
    #[error("{0}")]
    Missing(String),
    /// The query has something unknown or unreadable.
    #[error("{0}")]
    Query(String),
    /// A header cannot be read.
    #[error("`{name}` must be {expected}")]
    Header {
        /// Which.
        name: HeaderName,
        /// What it should be.
        expected: &'static str,
    },
    /// The body is of another media type.
    #[error("send the body as {expected}, and say so in `Content-Type`")]
    MediaType {
        /// Those that are taken.
        expected: &'static str,
    },
    /// The body is not JSON.
    #[error("the body is not JSON: {0}")]
    Malformed(String),
    /// The text of a configuration file has mistakes.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    File(Vec<Finding>),
    /// The body is JSON, but not what it should be.
    #[error("{}", located(.0))]
    Invalid(FieldError),
    /// The body is too long.
    #[error("the body may have {limit} bytes at most")]
    BodyTooLarge {
        /// The most bytes.
        limit: usize,
    },
    /// The body did not come, or not in time.
    #[error("{0}")]
    BodyMissing(String),
    /// `If-Match` names versions of another history only.
    #[error("`If-Match` names no version of the present history: read the entity again")]
    OtherHistory,
    /// A request with the same key is being worked on.
    #[error("a request with this Idempotency-Key is being worked on: repeat this one when that is answered")]
    KeyInFlight,
    /// This node has not come as far as the caller has seen.
    #[error(
        "what is served here is revision {served}, which has not come to {asked}: ask again, or another node"
    )]
    Behind {
        /// The revision that was asked for.
        asked: u64,
        /// The one it serves.
        served: u64,
    },
    /// There are as many event streams as this process keeps.
    #[error("this process keeps as many event streams as it can: close one, or ask another process")]
    TooManyStreams,
    /// There are as many requests as may fold the log at once, and none was done in time.
    #[error(
        "others ask for the past at this moment, which takes reading the whole log: ask again in a while"
    )]
    TooManyFolds,
    /// The log takes too long to be read.
    #[error("the log could not be read in time: ask for less of it, or again")]
    SlowLog,
    /// The system gave no random bytes, of which secrets are made.
    #[error("the system gave no random bytes: try again, or ask another process")]
    NoRandom,
    /// There is nothing to seal a secret with.
    #[error(
        "this process has no key to seal a secret with: give it, and every gateway, what `flexgate secrets key` prints as FLEXGATE_SECRET_KEY"
    )]
    NoSealing,
    /// The log cannot be read.
    #[error("the log cannot be read: {0}")]
    NoLog(StoreError),
    /// This process was given no database.
    #[error("there are no tables to ask: give this process a database (DATABASE_URL)")]
    NoDatabase,
    /// The database does not answer.
    #[error("the tables cannot be asked now: {0}")]
    Tables(&'static str),
    /// The projection is being made anew already.
    #[error("{0}")]
    Rebuilding(String),
    /// Who keeps the tables does not answer.
    #[error(transparent)]
    Projectors(#[from] AskError),
    /// The database does not answer whoever keeps the tables.
    #[error("the projector cannot ask its tables now: {0}")]
    ProjectorTables(String),
    /// Who keeps the tables cannot do it.
    #[error("the projector cannot do that now: {0}")]
    Projector(String),
    /// No member has this id.
    #[error("no member has the id {0:?}")]
    NoNode(NodeId),
    /// A node cannot be forgotten.
    #[error(transparent)]
    Forget(#[from] ForgetError),
    /// The transaction failed.
    #[error(transparent)]
    Transact(#[from] TransactError),
    /// A file contradicts what others did.
    #[error("{refusal}")]
    Contradicts {
        /// Each entity, with its place in what was sent if it has one.
        fields: Vec<FieldError>,
        /// All of it.
        refusal: Refusal,
    },
    /// It failed because of one item of a list.
    #[error("{}: {refusal}", .field.pointer)]
    Item {
        /// Where that is.
        field: Box<FieldError>,
        /// Why.
        refusal: Refusal,
    },
}

impl Error {
    /// What keeps the tables from answering. Its words go to the log: they may name users of the database.
    pub(super) fn of_tables(error: &flexgate_projections::Error) -> Self {
        tracing::warn!(%error, "the tables do not answer");
        Self::Tables(if error.took_too_long() {
            "that takes longer than it may; ask for less"
        } else {
            "the database does not take part"
        })
    }

    /// The status, and the kind for programs.
    fn kind(&self) -> (StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::NoToken { .. } => (S::UNAUTHORIZED, "no_token"),
            Self::WrongToken { .. } => (S::UNAUTHORIZED, "wrong_token"),
            Self::Missing(_) | Self::NoNode(_) => (S::NOT_FOUND, "not_found"),
            Self::Query(_) => (S::BAD_REQUEST, "bad_query"),
            Self::Header { .. } => (S::BAD_REQUEST, "bad_header"),
            Self::MediaType { .. } => (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::Malformed(_) => (S::BAD_REQUEST, "malformed"),
            Self::Invalid(_) | Self::File(_) => (S::BAD_REQUEST, "invalid"),
            Self::BodyTooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::BodyMissing(_) => (S::REQUEST_TIMEOUT, "body_missing"),
            Self::KeyInFlight => (S::CONFLICT, "key_in_flight"),
            Self::Behind { .. } => (S::SERVICE_UNAVAILABLE, "behind"),
            Self::TooManyStreams => (S::SERVICE_UNAVAILABLE, "too_many_streams"),
            Self::TooManyFolds => (S::SERVICE_UNAVAILABLE, "history_busy"),
            Self::SlowLog => (S::SERVICE_UNAVAILABLE, "history_slow"),
            Self::NoRandom => (S::SERVICE_UNAVAILABLE, "no_random"),
            Self::NoSealing => (S::CONFLICT, "no_sealing_key"),
            Self::Forget(ForgetError::Alive(_)) => (S::CONFLICT, "node_alive"),
            Self::Transact(TransactError::Refused(refusal))
            | Self::Item { refusal, .. }
            | Self::Contradicts { refusal, .. } => (status_of(refusal), refusal.code()),
            Self::OtherHistory | Self::Transact(TransactError::Moved { .. }) => {
                (S::PRECONDITION_FAILED, "stale")
            }
            Self::Transact(TransactError::KeyReused) => (S::UNPROCESSABLE_ENTITY, "key_reused"),
            Self::Transact(TransactError::Contended { .. }) => (S::SERVICE_UNAVAILABLE, "contended"),
            Self::Rebuilding(_) => (S::CONFLICT, "rebuilding"),
            Self::Projectors(AskError::Nobody) => (S::SERVICE_UNAVAILABLE, "no_projector"),
            Self::Projectors(AskError::Late) => (S::SERVICE_UNAVAILABLE, "projector_silent"),
            Self::Projector(_) => (S::CONFLICT, "projector_refused"),
            Self::NoDatabase => (S::SERVICE_UNAVAILABLE, "no_database"),
            Self::Tables(_) | Self::ProjectorTables(_) => (S::SERVICE_UNAVAILABLE, "database_unavailable"),
            Self::NoLog(_)
            | Self::Forget(ForgetError::Unavailable(_))
            | Self::Transact(TransactError::Unavailable { .. }) => (S::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Transact(TransactError::Unknown { .. }) => (S::SERVICE_UNAVAILABLE, "outcome_unknown"),
            Self::Transact(TransactError::Frozen { .. }) => (S::SERVICE_UNAVAILABLE, "frozen"),
            Self::Transact(TransactError::Full) => (S::INSUFFICIENT_STORAGE, "log_full"),
            Self::Transact(TransactError::TooLarge { .. }) => (S::PAYLOAD_TOO_LARGE, "commit_too_large"),
            Self::Transact(TransactError::HeldBack { .. }) => (S::CONFLICT, "held_back"),
        }
    }

    /// Whether what was asked may have been done all the same, and is no commit that would say so.
    fn leaves_open(&self) -> bool {
        matches!(
            self,
            Self::Projectors(AskError::Late) | Self::Forget(ForgetError::Unavailable(_))
        )
    }

    /// The fields at fault.
    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(error) => vec![error.clone()],
            Self::File(mistakes) => mistakes.iter().map(in_file).collect(),
            Self::Contradicts { fields, .. } => fields.clone(),
            Self::Transact(TransactError::Refused(Refusal::Invalid { pointer, detail })) => {
                vec![FieldError::new(pointer, detail)]
            }
            Self::Transact(TransactError::Refused(refusal)) => refusal
                .pointer()
                .map(|pointer| FieldError::new(pointer, refusal.to_string()))
                .into_iter()
                .collect(),
            Self::Item { field, .. } => vec![FieldError::clone(field)],
            _ => Vec::new(),
        }
    }

    /// How a client without the right token is told what to send (RFC 6750 3).
    fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::NoToken { .. } => Some("Bearer realm=\"flexgate\""),
            Self::WrongToken { .. } => Some("Bearer realm=\"flexgate\", error=\"invalid_token\""),
            _ => None,
        }
    }

    /// After how many seconds it may be worth a try, where that is more than the one second of every 503.
    fn retry_after(&self) -> Option<&'static str> {
        match self {
            // An outage of the log, or an election in it, is over in seconds at best; a turn takes seconds where it is long.
            Self::Transact(TransactError::Unavailable { .. } | TransactError::Unknown { .. })
            | Self::TooManyFolds
            | Self::SlowLog => Some("5"),
            // Only a person thaws a journal.
            Self::Transact(TransactError::Frozen { .. }) => Some("60"),
            Self::KeyInFlight => Some("1"),
            _ => None,
        }
    }
}

/// What a refusal of the domain is in HTTP.
fn status_of(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::NotFound(_) => StatusCode::NOT_FOUND,
        Refusal::Stale { .. } => StatusCode::PRECONDITION_FAILED,
        Refusal::AlreadyExists(_)
        | Refusal::DuplicateRoute { .. }
        | Refusal::UpstreamInUse { .. }
        | Refusal::KeyRevoked(_)
        | Refusal::FileConflicts { .. }
        | Refusal::NothingLeft { .. }
        | Refusal::UsernameTaken { .. }
        | Refusal::TooMany { .. } => StatusCode::CONFLICT,
        Refusal::UnknownUpstream { .. }
        | Refusal::StripAndRewrite
        | Refusal::RewriteName { .. }
        | Refusal::Invalid { .. }
        | Refusal::Prohibited { .. }
        | Refusal::ListedTwice => StatusCode::BAD_REQUEST,
        Refusal::Item { refusal, .. } => status_of(refusal),
    }
}

/// A mistake in the text of a file.
fn in_file(mistake: &Finding) -> FieldError {
    let help = mistake.help.as_ref().map(|help| format!(" ({help})"));
    let detail = format!("{}{}", mistake.message, help.unwrap_or_default());
    FieldError::new(mistake.pointer.clone().unwrap_or_default(), detail)
        .at(mistake.place.as_ref().map(Place::line_and_column))
}

fn located(FieldError { pointer, detail, .. }: &FieldError) -> String {
    if pointer.is_empty() {
        detail.clone()
    } else {
        format!("{pointer}: {detail}")
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let (status, code) = error.kind();
        // `about:blank` asks for the status' own phrase (RFC 9457 4.2.1).
        let title = status.canonical_reason().unwrap_or("Error");
        Self {
            errors: error.fields(),
            ..Self::new(status, code, title, error.to_string())
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = refuse(Problem::from(&self));
        if self.leaves_open() {
            response.extensions_mut().insert(MayBeDone);
        }
        let fields = [
            (header::WWW_AUTHENTICATE, self.challenge()),
            (header::RETRY_AFTER, self.retry_after()),
        ];
        for (name, value) in fields {
            response
                .headers_mut()
                .extend(value.map(|value| (name, HeaderValue::from_static(value))));
        }
        response
    }
}

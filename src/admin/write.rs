//! The way of every write: what the request says besides its body, the transaction, and the answer.

use std::{error::Error as _, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest, Request},
    response::{IntoResponse as _, Response},
};
use flexgate_schemas::{
    Millis,
    commit::{Idempotency, Source},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::LengthLimitError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    Shared,
    auth::Token,
    convergence::ConvergenceReport,
    entity::Stored,
    error::Error,
    etag::{self, Condition, Tag},
    idempotency::{self, Held},
    json, params,
    read::REVISION,
    warning::Notice,
};
use crate::{
    domain::{Command, Expect},
    journal::{Committed, Transaction},
};

/// The most bytes of a body; [`super::apply`] takes more.
pub(super) const BODY_MAX: usize = 1024 * 1024;
/// How long a body may take to come.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// How long `?wait=nodes` waits unless told otherwise.
const WAIT: Millis = Millis::new(5_000);
/// The longest that it may be told to.
const WAIT_MAX: Millis = Millis::new(60_000);

/// The query of a write.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct How {
    /// Answer only when every member node serves the change, or when the time is up.
    #[serde(default)]
    wait: Option<WaitFor>,
    /// How long to wait: 5 s unless said, 60 s at most. Only with `wait`.
    #[serde(default)]
    timeout: Option<Millis>,
    /// Why the change is made, for the log: 512 characters at most.
    #[serde(default)]
    #[schemars(length(max = 512))]
    reason: Option<Box<str>>,
}

/// What a write may wait for.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum WaitFor {
    /// Every member node.
    Nodes,
}

/// A write: all that a request says, but for the id in its path.
#[derive(Debug)]
pub(super) struct Write<const LIMIT: usize = BODY_MAX> {
    wait: Option<Duration>,
    reason: Option<Box<str>>,
    condition: Option<Precondition>,
    idempotency: Option<Idempotency>,
    _held: Option<Held>,
    media_type: Option<HeaderValue>,
    body: Bytes,
}

/// When the caller wants it done.
#[derive(Debug)]
enum Precondition {
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match: *`.
    Present,
    /// `If-Match`, with tags.
    Unchanged(Vec<Tag>),
}

/// What a write has to say besides the entity.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct Notes {
    /// What the caller may have meant otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Notice>,
    /// With `?wait=nodes`: which members serve the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    convergence: Option<ConvergenceReport>,
}

/// What a write answers with: what it is about, and what else there is to say.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Annotated{T}")]
pub(super) struct Annotated<T> {
    #[serde(flatten)]
    about: T,
    #[serde(flatten)]
    notes: Notes,
}

impl<const LIMIT: usize> FromRequest<Shared> for Write<LIMIT> {
    type Rejection = Error;

    async fn from_request(request: Request, admin: &Shared) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let how: How = params::query(&parts.uri)?;
        let wait = how.wait()?;
        let condition = precondition(&parts.headers)?;
        let body = receive(&parts.headers, body, LIMIT).await?;
        let idempotency = idempotency::of(&parts.headers, &parts.method, &parts.uri, &body)?;
        let held = idempotency
            .as_ref()
            .map(|own| admin.keys.hold(&own.key))
            .transpose()?;
        Ok(Self {
            wait,
            reason: how.reason,
            condition,
            idempotency,
            _held: held,
            media_type: parts.headers.get(header::CONTENT_TYPE).cloned(),
            body,
        })
    }
}

impl How {
    fn wait(&self) -> Result<Option<Duration>, Error> {
        let bad = |detail: &str| Err(Error::Query(detail.to_owned()));
        if self
            .reason
            .as_ref()
            .is_some_and(|reason| reason.chars().count() > 512)
        {
            return bad("`reason` has 512 characters at most");
        }
        match (self.wait, self.timeout) {
            (None, None) => Ok(None),
            (None, Some(_)) => bad("`timeout` goes with `wait=nodes`"),
            (Some(WaitFor::Nodes), timeout) if timeout > Some(WAIT_MAX) => bad("`timeout` is 60s at most"),
            (Some(WaitFor::Nodes), timeout) => Ok(Some(timeout.unwrap_or(WAIT).duration())),
        }
    }
}

fn precondition(headers: &HeaderMap) -> Result<Option<Precondition>, Error> {
    match (etag::if_match(headers)?, etag::if_none_match(headers)?) {
        (None, None) => Ok(None),
        (None, Some(Condition::Any)) => Ok(Some(Precondition::Absent)),
        (Some(Condition::Any), None) => Ok(Some(Precondition::Present)),
        (Some(Condition::Of(tags)), None) => Ok(Some(Precondition::Unchanged(tags))),
        (Some(_), Some(_)) | (None, Some(Condition::Of(_))) => Err(Error::Header {
            name: header::IF_NONE_MATCH,
            expected: "`*` on a write, and without `If-Match`",
        }),
    }
}

async fn receive(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Error> {
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: u64| length > limit as u64) {
        return Err(Error::BodyTooLarge { limit });
    }
    match tokio::time::timeout(BODY_WITHIN, to_bytes(body, limit)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error))
            if error
                .source()
                .is_some_and(|source| source.is::<LengthLimitError>()) =>
        {
            Err(Error::BodyTooLarge { limit })
        }
        Ok(Err(error)) => Err(Error::BodyMissing(format!("the body broke off: {error}"))),
        Err(_elapsed) => Err(Error::BodyMissing("the body did not come within 30 s".to_owned())),
    }
}

impl<const LIMIT: usize> Write<LIMIT> {
    /// The body as an object.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Error> {
        self.media_type_is(&["application/json"], "application/json")?;
        json::object(&self.body)
    }

    /// The body as a JSON Merge Patch (RFC 7396).
    pub(super) fn patch(&self) -> Result<Map<String, Value>, Error> {
        let names = ["application/json", "application/merge-patch+json"];
        self.media_type_is(
            &names,
            "application/merge-patch+json (or application/json, which means the same here)",
        )?;
        json::object(&self.body)
    }

    /// The body as a value of a type.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.media_type_is(&["application/json"], "application/json")?;
        json::text(&self.body)
    }

    fn media_type_is(&self, names: &[&str], expected: &'static str) -> Result<(), Error> {
        let field = self.media_type.as_ref().and_then(|field| field.to_str().ok());
        let essence = field.and_then(|field| field.split(';').next()).map(str::trim);
        let fits = essence.is_some_and(|essence| names.iter().any(|name| essence.eq_ignore_ascii_case(name)));
        fits.then_some(()).ok_or(Error::MediaType { expected })
    }

    /// Whether the entity must not exist yet.
    pub(super) fn wants_absence(&self) -> bool {
        matches!(self.condition, Some(Precondition::Absent))
    }

    /// Whether anything is said of the state that the entity must be in.
    pub(super) fn is_conditional(&self) -> bool {
        self.condition.is_some()
    }

    /// What the decision must find, given the last revision of the entity that is known here. Of several tags only
    /// that one can still hold, and the decision itself looks whether it does.
    fn expect(&self, admin: &Shared, current: Option<u64>) -> Result<Expect, Error> {
        match &self.condition {
            None | Some(Precondition::Present) => Ok(Expect::Any),
            Some(Precondition::Absent) => Ok(Expect::Absent),
            Some(Precondition::Unchanged(tags)) => {
                let generation = admin.journal.view().generation();
                let ours = tags
                    .iter()
                    .filter(|tag| tag.generation == generation)
                    .map(|tag| tag.revision);
                let held = ours.clone().find(|revision| Some(*revision) == current);
                held.or_else(|| ours.clone().next())
                    .map(Expect::Revision)
                    .ok_or(Error::OtherHistory)
            }
        }
    }

    /// Does it. `current` is the last revision of the entity, as far as is known here.
    pub(super) async fn transact(
        &self,
        admin: &Shared,
        command: Command,
        current: Option<u64>,
        source: Source,
    ) -> Result<Committed, Error> {
        let transaction = Transaction {
            expect: self.expect(admin, current)?,
            command,
            actor: Token::holder(),
            source,
            reason: self.reason.clone(),
            idempotency: self.idempotency.clone(),
        };
        Ok(admin.journal.transact(transaction).await?)
    }

    /// Answers with an entity: 200, 201 where it came to be, or 202 if the caller waits for nodes that are missing.
    pub(super) async fn answer<T: Serialize>(
        &self,
        admin: &Shared,
        committed: &Committed,
        entity: Stored<T>,
        location: Option<String>,
    ) -> Response {
        let tag = Tag {
            generation: committed.generation,
            revision: entity.revision,
        };
        let done = if location.is_some() {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        let mut response = self.answer_with(admin, committed, done, entity).await;
        let headers = response.headers_mut();
        headers.insert(header::ETAG, tag.header());
        let location = location.and_then(|location| HeaderValue::try_from(location).ok());
        headers.extend(location.map(|location| (header::LOCATION, location)));
        response
    }

    /// Answers with something else: with its own status, or 202 if the caller waits for nodes that are missing.
    pub(super) async fn answer_with<T: Serialize>(
        &self,
        admin: &Shared,
        committed: &Committed,
        done: StatusCode,
        about: T,
    ) -> Response {
        let notes = self.notes(admin, committed).await;
        stamped(
            (notes.status(done), Json(Annotated { about, notes })).into_response(),
            committed,
        )
    }

    /// Answers without an entity: 204, or 200 with what else there is to say.
    pub(super) async fn answer_gone(&self, admin: &Shared, committed: &Committed) -> Response {
        let notes = self.notes(admin, committed).await;
        let response = if notes.warnings.is_empty() && notes.convergence.is_none() {
            StatusCode::NO_CONTENT.into_response()
        } else {
            (notes.status(StatusCode::OK), Json(notes)).into_response()
        };
        stamped(response, committed)
    }

    async fn notes(&self, admin: &Shared, committed: &Committed) -> Notes {
        let convergence = match self.wait {
            None => None,
            Some(within) => Some(
                admin
                    .members
                    .serving(committed.generation, committed.revision, within)
                    .await
                    .into(),
            ),
        };
        Notes {
            warnings: committed.warnings.iter().map(Notice::of).collect(),
            convergence,
        }
    }
}

impl Notes {
    fn status(&self, done: StatusCode) -> StatusCode {
        match &self.convergence {
            Some(report) if !report.converged => StatusCode::ACCEPTED,
            Some(_) | None => done,
        }
    }
}

fn stamped(mut response: Response, committed: &Committed) -> Response {
    let headers = response.headers_mut();
    headers.insert(REVISION, HeaderValue::from(committed.revision));
    if committed.replayed {
        headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    response
}

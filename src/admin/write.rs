//! The way of every write: what the request says besides its body, the transaction, and the answer.

use std::time::Duration;

use axum::{
    Json,
    extract::{FromRequest, Request},
    response::{IntoResponse as _, Response},
};
use flexgate_schemas::{
    Millis,
    commit::{Idempotency, Source},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    Shared,
    attempt::Attempt,
    auth::Token,
    body::Body,
    convergence::ConvergenceReport,
    entity::Stored,
    error::Error,
    etag,
    idempotency::{self, Held},
    params,
    place::Place,
    precondition::Precondition,
    read::REVISION,
    warning::Notice,
};
use crate::{
    domain::{Command, Expect},
    journal::{Committed, Moment, Progress, Transaction},
};

/// The most bytes of a body; [`super::apply`] takes more.
const BODY_MAX: usize = 1024 * 1024;
/// How long `?wait=nodes` waits unless told otherwise.
const WAIT: Millis = Millis::new(5_000);
/// The longest that it may be told to.
const WAIT_MAX: Millis = Millis::new(60_000);
/// The longest reason, in characters.
const REASON_MAX: usize = 512;
/// On the answer to a repetition.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A write: all that a request says, but for the id in its path.
#[derive(Debug)]
pub(super) struct Write<const LIMIT: usize = BODY_MAX> {
    pub(super) precondition: Precondition,
    pub(super) body: Body,
    wait: Option<Duration>,
    reason: Option<Box<str>>,
    pub(super) idempotency: Option<Idempotency>,
    pub(super) attempt: Option<Attempt>,
    _held: Option<Held>,
}

/// The query of a write.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct How {
    /// Answer only when every member node serves the change, or when the time is up.
    #[serde(default)]
    pub(super) wait: Option<WaitFor>,
    /// How long to wait: 5 s unless said, 60 s at most. Only with `wait`.
    #[serde(default)]
    pub(super) timeout: Option<Millis>,
    /// Why the change is made, for the log.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub(super) reason: Option<Box<str>>,
}

/// What a write may wait for.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum WaitFor {
    /// Every member node.
    Nodes,
}

/// What a write answers with: what it is about, and what else there is to say.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Written{T}")]
pub(super) struct Written<T> {
    #[serde(flatten)]
    about: T,
    #[serde(flatten)]
    notes: Notes,
}

/// What a write has to say besides.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct Notes {
    /// What the caller may have meant otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Notice>,
    /// With `?wait=nodes`: which members serve the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    convergence: Option<ConvergenceReport>,
}

impl<const LIMIT: usize> FromRequest<Shared> for Write<LIMIT> {
    type Rejection = Error;

    async fn from_request(request: Request, admin: &Shared) -> Result<Self, Error> {
        let how = params::query(request.uri())?;
        Self::receive(request, admin, how).await
    }
}

impl<const LIMIT: usize> Write<LIMIT> {
    /// Takes in the rest of a request whose query was read.
    pub(super) async fn receive(request: Request, admin: &Shared, how: How) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let wait = how.wait()?;
        let precondition = Precondition::of(&parts.headers)?;
        let body = Body::receive(&parts.headers, body, LIMIT).await?;
        let idempotency = idempotency::of(&parts.headers, &parts.method, &parts.uri, &body.bytes)?;
        let held = idempotency
            .as_ref()
            .map(|own| admin.keys.hold(&own.key))
            .transpose()?;
        Ok(Self {
            precondition,
            body,
            wait,
            reason: how.reason,
            idempotency,
            attempt: parts.extensions.get().cloned(),
            _held: held,
        })
    }
}

impl How {
    fn wait(&self) -> Result<Option<Duration>, Error> {
        let bad = |detail: String| Err(Error::Query(detail));
        if self
            .reason
            .as_ref()
            .is_some_and(|reason| reason.chars().count() > REASON_MAX)
        {
            return bad(format!("`reason` has {REASON_MAX} characters at most"));
        }
        match (self.wait, self.timeout) {
            (None, None) => Ok(None),
            (None, Some(_)) => bad("`timeout` goes with `wait=nodes`".to_owned()),
            (Some(WaitFor::Nodes), Some(timeout)) if timeout > WAIT_MAX => {
                bad(format!("`timeout` is {WAIT_MAX} at most"))
            }
            (Some(WaitFor::Nodes), timeout) => Ok(Some(timeout.unwrap_or(WAIT).duration())),
        }
    }
}

impl<const LIMIT: usize> Write<LIMIT> {
    /// Does it. `current` is the last revision of the entity, as far as is known here.
    pub(super) async fn transact(
        &self,
        admin: &Shared,
        command: Command,
        current: Option<u64>,
        source: Source,
    ) -> Result<Committed, Error> {
        let generation = admin.journal.view().generation();
        let expect = self.precondition.expect(generation, current)?;
        let transaction = self.transaction((command, expect, None), source);
        Ok(admin.journal.transact(transaction).await?)
    }

    /// Does something about the configuration as a whole: if that is what the precondition says it is.
    pub(super) async fn transact_whole(
        &self,
        admin: &Shared,
        command: Command,
        source: Source,
        progress: Option<watch::Sender<Progress>>,
    ) -> Result<Committed, Error> {
        let after = self.precondition.whole()?;
        let transaction = self.transaction((command, Expect::Any, after), source);
        Ok(admin.journal.transact_telling(transaction, progress).await?)
    }

    fn transaction(
        &self,
        (command, expect, after): (Command, Expect, Option<Moment>),
        source: Source,
    ) -> Transaction {
        Transaction {
            command,
            expect,
            after,
            actor: Token::holder(),
            source,
            reason: self.reason.clone(),
            idempotency: self.idempotency.clone(),
            provenance: self
                .attempt
                .as_ref()
                .map(|attempt| Box::new(attempt.provenance.clone())),
        }
    }

    /// Answers with an entity: 200, 201 where it came to be, or 202 if the caller waits for nodes that are missing.
    pub(super) async fn answer<T: Serialize>(
        &self,
        admin: &Shared,
        committed: &Committed,
        entity: Stored<T>,
        location: Option<String>,
    ) -> Response {
        let place = Place {
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
        headers.insert(header::ETAG, etag::header(place));
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
            (notes.status(done), Json(Written { about, notes })).into_response(),
            committed,
        )
    }

    /// Answers that something is gone: 204, or what else there is to say.
    pub(super) async fn answer_gone(&self, admin: &Shared, committed: &Committed) -> Response {
        let notes = self.notes(admin, committed).await;
        let response = if notes.is_empty() {
            StatusCode::NO_CONTENT.into_response()
        } else {
            (notes.status(StatusCode::OK), Json(notes)).into_response()
        };
        stamped(response, committed)
    }

    async fn notes(&self, admin: &Shared, committed: &Committed) -> Notes {
        let warnings = committed.warnings.iter().map(Notice::of).collect();
        let Some(within) = self.wait else {
            return Notes {
                warnings,
                convergence: None,
            };
        };
        let convergence = admin
            .members
            .serving(committed.generation, committed.revision, within)
            .await;
        Notes {
            warnings,
            convergence: Some(convergence.into()),
        }
    }
}

impl Notes {
    fn is_empty(&self) -> bool {
        self.warnings.is_empty() && self.convergence.is_none()
    }

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
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

//! Calls that would change something, as the audit log hears of them where the log itself has nothing: they were refused, or
//! are not about the configuration. Of some of those nobody knows in time whether they were done.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use flexgate_schemas::{
    Provenance,
    admin::{Call, Deed},
    commit::{Actor, Source},
};
use http::{Method, StatusCode};
use serde::Deserialize;

use super::{Shared, auth::Token, error::Error, provenance, read::REVISION};
use crate::problem::Problem;

/// A call that would change something. With its request, for whoever answers it.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    method: Method,
    path: Box<str>,
    pub(super) provenance: Provenance,
    /// It only asks what would be changed.
    is_rehearsal: bool,
}

/// With a response: what becomes of the call is told when that is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct ToldLater;

/// With a response that is a failure: what was asked may have been done all the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct MayBeDone;

/// What of a query says that nothing is to be changed. The rest is read by whoever answers.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Hint {
    dry_run: bool,
}

impl Attempt {
    /// Nothing, if it is one that only reads, or nothing that the API answers.
    fn of(request: &Request, admin: &Shared) -> Option<Self> {
        let path = request.uri().path();
        if request.method().is_safe() || !path.starts_with("/api") {
            return None;
        }
        let query = request.uri().query().unwrap_or_default();
        let hint: Hint = serde_urlencoded::from_str(query).unwrap_or_default();
        Some(Self {
            method: request.method().clone(),
            path: path.into(),
            provenance: provenance::of(request.headers(), request.extensions(), admin),
            is_rehearsal: hint.dry_run,
        })
    }

    /// It was refused; to nobody, if they did not prove who they are.
    fn refused(
        self,
        admin: &Shared,
        (actor, source): (Option<Actor>, Source),
        status: StatusCode,
        code: Option<&str>,
    ) {
        // Failures of ours are no refusals; what became of the call is in the log, or nothing did.
        if !status.is_client_error() {
            return;
        }
        let call = self.call(status, code);
        let deed = match &actor {
            Some(_) if status != StatusCode::FORBIDDEN => Deed::Refused(call),
            _ => Deed::Denied(call),
        };
        if actor.is_none() || !self.is_rehearsal {
            admin.audit.tell(deed, actor, source, self.provenance);
        }
    }

    /// It was done, and made no commit that would say so; or it may have been, if there is a problem.
    fn done(self, admin: &Shared, actor: Option<Actor>, status: StatusCode, code: Option<&str>) {
        let deed = Deed::Done(self.call(status, code));
        admin.audit.tell(deed, actor, Source::Api, self.provenance);
    }

    fn call(&self, status: StatusCode, code: Option<&str>) -> Call {
        Call::new((self.method.as_str(), &self.path), status.as_u16(), code)
    }
}

/// What tells the audit log of an attempt of somebody who may use the API, once it is known that it was refused.
pub(super) fn told_later(
    attempt: Option<Attempt>,
    admin: Shared,
    source: Source,
) -> impl FnOnce(&Problem) + Send + 'static {
    move |problem| {
        if let Some(attempt) = attempt {
            attempt.refused(
                &admin,
                (Some(Token::holder()), source),
                problem.status,
                Some(problem.code),
            );
        }
    }
}

/// An answer that says, if it is a refusal, through what was asked for that which is refused.
pub(super) fn through(source: Source, answered: Result<Response, Error>) -> Response {
    answered.unwrap_or_else(|error| {
        let mut refusal = error.into_response();
        refusal.extensions_mut().insert(source);
        refusal
    })
}

/// Tells the audit log of attempts that are not in the log. Whoever answers says with the response who asked, if they proved it,
/// and through what.
pub(super) async fn watch(State(admin): State<Shared>, mut request: Request, next: Next) -> Response {
    let attempt = Attempt::of(&request, &admin);
    if let Some(attempt) = &attempt {
        request.extensions_mut().insert(attempt.clone());
    }
    let response = next.run(request).await;
    let told = response.extensions();
    let Some(attempt) = attempt.filter(|_| told.get::<ToldLater>().is_none()) else {
        return response;
    };
    let (actor, problem) = (told.get::<Actor>().cloned(), told.get::<Problem>());
    // A problem is written further out. What axum itself refuses, such as a path that is not UTF-8, is none.
    let status = problem.map_or(response.status(), |problem| problem.status);
    let code = problem.map(|problem| problem.code);
    let is_done = status.is_success() && !response.headers().contains_key(REVISION);
    if is_done || told.get::<MayBeDone>().is_some() {
        if !attempt.is_rehearsal {
            attempt.done(&admin, actor, status, code);
        }
    } else if !status.is_success() {
        let source = told.get::<Source>().cloned().unwrap_or(Source::Api);
        attempt.refused(&admin, (actor, source), status, code);
    }
    response
}

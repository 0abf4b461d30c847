//! The way of every read: which state it is answered from, and whether the caller has the answer already.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::FromRequestParts,
    response::{IntoResponse as _, Response},
};
use flexgate_projections::Tables;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Shared,
    error::Error,
    etag::{self, Condition},
    params::{self, Nothing},
    place::Place,
};
use crate::journal::View;

/// On an answer: the revision it was made from, or that a write became.
pub(super) const REVISION: HeaderName = HeaderName::from_static("flexgate-revision");
/// On a read: the revision that the answer must not be older than.
const MIN_REVISION: HeaderName = HeaderName::from_static("flexgate-min-revision");
/// How long a read waits for its revision.
pub(super) const REVISION_WITHIN: Duration = Duration::from_secs(2);

/// A read: its query, and the state that it is answered from, which is not older than the caller asked for.
#[derive(Debug)]
pub(super) struct Read<Q = Nothing> {
    pub(super) query: Q,
    pub(super) view: Arc<View>,
    known: Option<Condition>,
}

impl<Q: DeserializeOwned + Send> FromRequestParts<Shared> for Read<Q> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, admin: &Shared) -> Result<Self, Error> {
        let query = params::query(&parts.uri)?;
        let known = etag::if_none_match(&parts.headers)?;
        reached(&parts.headers, admin).await?;
        Ok(Self {
            query,
            view: admin.journal.view(),
            known,
        })
    }
}

impl<Q> Read<Q> {
    /// Answers with a part of a list. Any commit may have changed the list, so its tag is that of the whole state.
    pub(super) fn answer_page<T: Serialize>(&self, page: &[T], next: Option<HeaderValue>) -> Response {
        let mut response = self.answer(self.view.revision(), &page);
        response
            .headers_mut()
            .extend(next.map(|link| (header::LINK, link)));
        response
    }

    /// Answers with what was last changed at a revision, or with 304 when the caller has it.
    pub(super) fn answer<T: Serialize>(&self, revision: u64, body: &T) -> Response {
        let place = Place {
            generation: self.view.generation(),
            revision,
        };
        let known = match &self.known {
            None => false,
            Some(Condition::Any) => true,
            Some(Condition::Of(places)) => places.contains(&place),
        };
        let mut response = if known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            Json(body).into_response()
        };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, etag::header(place));
        headers.insert(REVISION, HeaderValue::from(self.view.revision()));
        response
    }
}

/// The tables, if there are any to ask.
pub(super) fn tables(admin: &Shared) -> Result<&Tables, Error> {
    admin.tables.as_ref().ok_or(Error::NoDatabase)
}

/// The tables, when they tell the configuration as of the revision that the answer must not be older than.
pub(super) async fn tables_reached<'a>(headers: &HeaderMap, admin: &'a Shared) -> Result<&'a Tables, Error> {
    let tables = tables(admin)?;
    if let Some(asked) = reached(headers, admin).await? {
        let reached = tables.reach(asked, REVISION_WITHIN).await;
        reached
            .map_err(|error| Error::of_tables(&error))?
            .map_err(|served| Error::Behind { asked, served })?;
    }
    Ok(tables)
}

/// Waits for the revision that the answer must not be older than, and says which that is.
pub(super) async fn reached(headers: &HeaderMap, admin: &Shared) -> Result<Option<u64>, Error> {
    let asked = min_revision(headers)?;
    if let Some(asked) = asked
        && !admin.journal.reached(asked, REVISION_WITHIN).await
    {
        return Err(Error::Behind {
            asked,
            served: admin.journal.view().revision(),
        });
    }
    Ok(asked)
}

fn min_revision(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let parse = |field: &HeaderValue| {
        let number = field.to_str().ok().and_then(|text| text.parse().ok());
        number.ok_or(Error::Header {
            name: MIN_REVISION,
            expected: "a revision: a whole number",
        })
    };
    headers.get(MIN_REVISION).map(parse).transpose()
}

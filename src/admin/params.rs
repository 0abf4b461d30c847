//! What the target of a request says: the id in its path, and its query.

use std::{fmt::Display, str::FromStr};

use axum::extract::{self, FromRequestParts, Path};
use http::{Uri, request::Parts};
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Shared, error::Error};

/// The one variable segment of a path.
#[derive(Debug)]
pub(super) struct Id<T>(pub(super) T);

/// A query without parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// The query of a request.
#[derive(Debug)]
pub(super) struct Query<Q>(pub(super) Q);

impl<Q: DeserializeOwned> FromRequestParts<Shared> for Query<Q> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        query(&parts.uri).map(Self)
    }
}

/// The query of a target. A parameter that the type does not have is an error: it may be a slip of the pen that would
/// have mattered.
pub(super) fn query<Q: DeserializeOwned>(target: &Uri) -> Result<Q, Error> {
    let read = extract::Query::<Q>::try_from_uri(target);
    read.map(|extract::Query(query)| query)
        .map_err(|refused| Error::Query(refused.body_text()))
}

impl<T: FromStr<Err: Display>> FromRequestParts<Shared> for Id<T> {
    type Rejection = Error;

    /// No entity has an id that cannot be one, so that is not found, like any other that does not exist.
    async fn from_request_parts(parts: &mut Parts, admin: &Shared) -> Result<Self, Error> {
        let path = parts.uri.path().to_owned();
        let missing = |why: &dyn Display| Error::Missing(format!("nothing can be at {path}: {why}"));
        let segment = Path::<String>::from_request_parts(parts, admin).await;
        let Path(segment) = segment.map_err(|refused| missing(&refused.body_text()))?;
        segment.parse().map(Self).map_err(|why| missing(&why))
    }
}

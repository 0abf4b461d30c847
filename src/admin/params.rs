//! What the target of a request says: the ids in its path, and its query.

use std::{fmt::Display, str::FromStr};

use axum::extract::{self, FromRequestParts, Path};
use http::{Uri, request::Parts};
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Shared, error::Error};

/// The one variable segment of a path.
#[derive(Debug)]
pub(super) struct Id<T>(pub(super) T);

/// The two variable segments of a path.
#[derive(Debug)]
pub(super) struct Ids<A, B>(pub(super) A, pub(super) B);

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

    async fn from_request_parts(parts: &mut Parts, admin: &Shared) -> Result<Self, Error> {
        let segment: String = segments(parts, admin).await?;
        Ok(Self(parsed(parts, &segment)?))
    }
}

impl<A, B> FromRequestParts<Shared> for Ids<A, B>
where
    A: FromStr<Err: Display>,
    B: FromStr<Err: Display>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, admin: &Shared) -> Result<Self, Error> {
        let (first, second): (String, String) = segments(parts, admin).await?;
        Ok(Self(parsed(parts, &first)?, parsed(parts, &second)?))
    }
}

async fn segments<S: DeserializeOwned + Send>(parts: &mut Parts, admin: &Shared) -> Result<S, Error> {
    let segments = Path::<S>::from_request_parts(parts, admin).await;
    let Path(segments) = segments.map_err(|refused| nothing_at(parts, &refused.body_text()))?;
    Ok(segments)
}

fn parsed<T: FromStr<Err: Display>>(parts: &Parts, segment: &str) -> Result<T, Error> {
    segment.parse().map_err(|why| nothing_at(parts, &why))
}

/// No entity has an id that cannot be one, so that is not found, like any other that does not exist.
fn nothing_at(parts: &Parts, why: &dyn Display) -> Error {
    Error::Missing(format!("nothing can be at {}: {why}", parts.uri.path()))
}

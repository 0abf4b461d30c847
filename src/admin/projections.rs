//! `/api/projections`: how the read models are, making them anew, and what they have put aside.
//!
//! What is done is done by a process with the role projector, which is asked over NATS; what shows is what that has written
//! down.

mod shown;

use std::str::FromStr;

use axum::{Json, extract::State};
use flexgate_projections::{LetterId, PROJECTIONS, Pace, Projection};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::shown::{Letter, Report};
use super::{
    Shared,
    auth::Token,
    error::Error,
    operation::{Operation, Resource},
    params::{Id, Ids, Nothing, Query},
    read,
};
use crate::projectors::{Answer, Ask, AskError};

const TAG: &str = "Projections";
/// How many dead letters are listed unless the caller says.
const LETTERS: u16 = 50;
/// The most that are.
const LETTERS_MAX: u16 = 500;

/// What can be done with projections.
pub(super) fn resources() -> [Resource<Shared>; 5] {
    [
        Resource::at("/api/projections", TAG).get(
            list,
            Operation::new("listProjections", "How the read models are, and how far").answers::<Vec<Report>>(
                200,
                "Each projection, with the last time that it was made anew.",
            ),
        ),
        Resource::at("/api/projections/{name}/rebuild", TAG).post(
            rebuild,
            Operation::new("rebuildProjection", "Make a read model anew from its streams")
                .details(
                    "Beside the tables that are read, which change hands when it is done. How far it is shows in the list of \
                     projections. With `verify` both are compared, and nothing changes. A repetition is refused while the \
                     first one lasts.",
                )
                .query::<How>()
                .answers::<Begun>(202, "It has begun."),
        ),
        Resource::at("/api/projections/{name}/dead-letters", TAG).get(
            letters,
            Operation::new("listDeadLetters", "What a projection could not apply, the newest first")
                .details("Without what is in the messages: those are for who has the database.")
                .query::<Which>()
                .answers::<Vec<Letter>>(200, "Dead letters."),
        ),
        Resource::at("/api/projections/{name}/dead-letters/retry", TAG).post(
            retry_all,
            Operation::new("retryDeadLetters", "Apply once more what could not be applied")
                .details("The oldest thousand of them. What was applied counts once, and is a dead letter no more.")
                .answers::<Retried>(200, "What became of them."),
        ),
        Resource::at("/api/projections/{name}/dead-letters/{id}/retry", TAG).post(
            retry_one,
            Operation::new("retryDeadLetter", "Apply a message once more that could not be applied")
                .answers::<Retried>(200, "What became of it."),
        ),
    ]
}

/// A projection, by its name.
struct Named(&'static Projection);

/// How a projection is made anew.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct How {
    /// Whether it is only compared.
    #[serde(default)]
    verify: bool,
    /// How much of the time is spent on it, in percent: 10 unless said, so that those who serve have the rest; 100 as fast
    /// as it can.
    #[serde(default)]
    #[schemars(with = "u8", range(min = 1, max = 100))]
    pace: Pace,
}

/// How many dead letters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// How many at most: 50 unless said, 500 at most.
    #[serde(default)]
    limit: Option<u16>,
}

/// A projection is being made anew.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RebuildBegun")]
struct Begun {
    /// The projection.
    projection: &'static str,
    /// Which time: the list of projections has it, too.
    id: String,
}

/// What became of dead letters.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeadLettersRetried")]
struct Retried {
    /// How many were applied.
    applied: u64,
    /// Those that could not be.
    failed: Vec<Failed>,
}

/// A dead letter that stays one.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeadLetterFailed")]
struct Failed {
    /// Its id.
    id: String,
    /// Why.
    error: String,
}

async fn list(
    State(admin): State<Shared>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Json<Vec<Report>>, Error> {
    let names = PROJECTIONS.map(|projection| projection.name);
    let entries = read::tables(&admin)?
        .projections(&names)
        .await
        .map_err(|error| Error::of_tables(&error))?;
    let reports = PROJECTIONS.into_iter().zip(entries);
    Ok(Json(
        reports
            .map(|(projection, entry)| Report::of(projection, entry))
            .collect(),
    ))
}

async fn rebuild(
    State(admin): State<Shared>,
    Id(Named(projection)): Id<Named>,
    Query(How { verify, pace }): Query<How>,
) -> Result<(StatusCode, Json<Begun>), Error> {
    read::tables(&admin)?;
    let ask = Ask::Rebuild {
        projection: projection.name.to_owned(),
        verify,
        pace,
        actor: Token::holder().id.to_string(),
    };
    match ask_projector(&admin, &ask).await? {
        Answer::Begun { id } => {
            let projection = projection.name;
            Ok((StatusCode::ACCEPTED, Json(Begun { projection, id })))
        }
        answer => Err(refusal(&admin, projection, answer).await),
    }
}

/// What an answer is that was not hoped for.
async fn refusal(admin: &Shared, projection: &'static Projection, answer: Answer) -> Error {
    match answer {
        Answer::Busy => Error::Rebuilding(busy(admin, projection).await),
        Answer::NoLetter => Error::Missing(format!("{} has put no such message aside", projection.name)),
        Answer::Unavailable { reason } => Error::ProjectorTables(reason),
        Answer::Failed { reason } => Error::Projector(reason),
        Answer::Begun { .. } | Answer::Retried { .. } => {
            Error::Projector("it answered something else".to_owned())
        }
    }
}

/// By whom, since when and where it is being made anew.
async fn busy(admin: &Shared, projection: &'static Projection) -> String {
    let entries = match read::tables(admin) {
        Ok(tables) => tables.projections(&[projection.name]).await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let report = entries
        .into_iter()
        .next()
        .map(|entry| Report::of(projection, entry));
    match report.and_then(Report::rebuilt_by) {
        Some(by) => format!("{} is being made anew already, {by}", projection.name),
        None => format!(
            "{} is being made anew already, or its dead letters are being applied",
            projection.name
        ),
    }
}

async fn letters(
    State(admin): State<Shared>,
    Id(Named(projection)): Id<Named>,
    Query(Which { limit }): Query<Which>,
) -> Result<Json<Vec<Letter>>, Error> {
    let limit = limit.unwrap_or(LETTERS);
    if !(1..=LETTERS_MAX).contains(&limit) {
        return Err(Error::Query(format!("`limit` is 1 to {LETTERS_MAX}")));
    }
    let letters = read::tables(&admin)?
        .dead_letters(projection.name, limit)
        .await
        .map_err(|error| Error::of_tables(&error))?;
    Ok(Json(letters.into_iter().map(Letter::from).collect()))
}

async fn retry_all(
    State(admin): State<Shared>,
    Id(Named(projection)): Id<Named>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Json<Retried>, Error> {
    retry(&admin, projection, None).await
}

async fn retry_one(
    State(admin): State<Shared>,
    Ids(Named(projection), letter): Ids<Named, LetterId>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Json<Retried>, Error> {
    retry(&admin, projection, Some(letter)).await
}

async fn retry(
    admin: &Shared,
    projection: &'static Projection,
    letter: Option<LetterId>,
) -> Result<Json<Retried>, Error> {
    read::tables(admin)?;
    let ask = Ask::Retry {
        projection: projection.name.to_owned(),
        id: letter.map(|id| id.to_string()),
    };
    match ask_projector(admin, &ask).await? {
        Answer::Retried { applied, failed } => {
            let failed = failed.into_iter();
            Ok(Json(Retried {
                applied,
                failed: failed.map(|(id, error)| Failed { id, error }).collect(),
            }))
        }
        answer => Err(refusal(admin, projection, answer).await),
    }
}

async fn ask_projector(admin: &Shared, ask: &Ask) -> Result<Answer, Error> {
    let projectors = admin.projectors.as_ref().ok_or(AskError::Nobody)?;
    Ok(projectors.ask(ask).await?)
}

impl FromStr for Named {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Projection::named(name).map(Self).ok_or_else(|| {
            let known = PROJECTIONS.map(|projection| projection.name).join(", ");
            format!("there is no projection {name:?}: there are {known}")
        })
    }
}

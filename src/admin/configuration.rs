//! `/api/config`: the whole configuration, as it is and as it was.

use std::{collections::BTreeSet, num::NonZeroU16};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use flexgate_schemas::{
    Commit, CommitId, KeyId, Provenance, Route, Settings, Timestamp, Upstream,
    commit::{Actor, Source},
    event::Entity,
};
use http::{HeaderMap, HeaderValue, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Shared,
    change::Change,
    error::Error,
    etag,
    operation::{Operation, Resource},
    params::Query,
    past,
    place::Place,
    read::{self, REVISION},
};
use crate::{config::file, domain::ConfigState};

/// How many commits are told unless the caller says.
const TOLD: NonZeroU16 = NonZeroU16::new(50).unwrap();
/// The most that are told at once.
const TOLD_MAX: u16 = 1000;

/// What can be asked of the whole configuration.
pub(super) fn resources() -> [Resource<Shared>; 3] {
    [
        Resource::at("/api/config", "Configuration").get(
            export,
            Operation::new("getConfig", "The whole configuration, as it can be applied again")
                .details(
                    "As application/yaml the text of a configuration file, if `Accept` asks for that. Secrets are \
                     references or sealed; keys are named by id alone, because nobody is told a hash: whoever applies it \
                     leaves them as they are.",
                )
                .query::<At>()
                .headers(&["FlexGate-Min-Revision"])
                .answers::<Exported>(200, "All of it but the secrets of keys.")
                .with(&["ETag", "FlexGate-Revision"]),
        ),
        Resource::at("/api/config/history", "Configuration").get(
            history,
            Operation::new("getConfigHistory", "The commits, the newest first")
                .query::<Before>()
                .headers(&["FlexGate-Min-Revision"])
                .answers::<Vec<Told>>(200, "So many of them.")
                .with(&["FlexGate-Revision"]),
        ),
        Resource::at("/api/config/diff", "Configuration").get(
            compare,
            Operation::new("diffConfig", "What differs between two revisions")
                .query::<Between>()
                .headers(&["FlexGate-Min-Revision"])
                .answers::<Vec<Change>>(200, "Each entity that is not the same.")
                .with(&["FlexGate-Revision"]),
        ),
    ]
}

/// Which configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct At {
    /// As it was at this revision, if the log still has it.
    #[serde(default)]
    revision: Option<u64>,
}

/// Which commits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Before {
    /// How many: 50 unless said, 1000 at most.
    #[serde(default)]
    limit: Option<NonZeroU16>,
    /// Those before this revision.
    #[serde(default)]
    before: Option<u64>,
}

/// Which revisions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Between {
    /// The older one.
    from: u64,
    /// The newer one; the present one unless said.
    #[serde(default)]
    to: Option<u64>,
}

/// A configuration that can be applied again.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Exported {
    /// All upstreams.
    upstreams: Vec<Upstream>,
    /// All routes.
    routes: Vec<Route>,
    /// The settings, where they are not the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settings: Option<Settings>,
    /// All keys, by id: nobody is told the hash of a secret. Whoever applies this leaves them as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    withheld_keys: Vec<KeyId>,
}

/// A commit.
#[derive(Debug, Serialize, JsonSchema)]
struct Told {
    /// Its revision.
    revision: u64,
    /// Its id.
    id: CommitId,
    /// When it was decided.
    at: Timestamp,
    /// Who asked.
    actor: Actor,
    /// Through what.
    source: Source,
    /// Why, if they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Box<str>>,
    /// From where, and by which request, if the log has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provenance: Option<Box<Provenance>>,
    /// What was changed, in order.
    changes: Vec<Change>,
}

async fn export(
    State(admin): State<Shared>,
    Query(At { revision }): Query<At>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    read::reached(&headers, &admin).await?;
    let view = admin.journal.view();
    let place = Place {
        generation: view.generation(),
        revision: revision.unwrap_or(view.revision()),
    };
    let state = match revision {
        Some(revision) if revision != view.revision() => {
            past::states(&admin, [revision]).await?.swap_remove(0)
        }
        _ => view.state().clone(),
    };
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let mut response = if accept.is_some_and(|accept| accept.contains("yaml")) {
        let media_type = HeaderValue::from_static("application/yaml");
        ([(header::CONTENT_TYPE, media_type)], as_file(&state)).into_response()
    } else {
        Json(Exported::of(&state)).into_response()
    };
    response.headers_mut().insert(header::ETAG, etag::header(place));
    Ok(stamped(response, view.revision()))
}

async fn history(
    State(admin): State<Shared>,
    Query(Before { limit, before }): Query<Before>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    read::reached(&headers, &admin).await?;
    let now = admin.journal.view().revision();
    let last = before.map_or(now, |before| before.saturating_sub(1).min(now));
    let limit = u64::from(limit.unwrap_or(TOLD).get().min(TOLD_MAX));
    let mut told = Vec::new();
    let mut commits = past::commits(&admin, last.saturating_sub(limit), last).await?;
    while let Some(recorded) = commits.next().await? {
        told.push(Told::of(recorded.revision, &recorded.commit));
    }
    told.reverse();
    Ok(stamped(Json(told).into_response(), now))
}

async fn compare(
    State(admin): State<Shared>,
    Query(Between { from, to }): Query<Between>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    read::reached(&headers, &admin).await?;
    let now = admin.journal.view().revision();
    let to = to.unwrap_or(now);
    if from > to {
        return Err(Error::Query("`from` is not after `to`".to_owned()));
    }
    let states = past::states(&admin, [from, to]).await?;
    Ok(stamped(
        Json(differences(&states[0], &states[1])).into_response(),
        now,
    ))
}

fn differences(before: &ConfigState, after: &ConfigState) -> Vec<Change> {
    let entities = |state: &ConfigState| {
        let upstreams = state.upstreams().keys().cloned().map(Entity::Upstream);
        let routes = state.routes().keys().cloned().map(Entity::Route);
        let keys = state.keys().keys().copied().map(Entity::Key);
        let all: Vec<_> = upstreams
            .chain(routes)
            .chain(keys)
            .chain([Entity::Settings])
            .collect();
        all
    };
    let all: BTreeSet<Entity> = entities(before).into_iter().chain(entities(after)).collect();
    all.iter()
        .filter_map(|entity| Change::between(before, after, entity))
        .collect()
}

fn as_file(state: &ConfigState) -> String {
    file::yaml(
        state.upstreams().values().map(|entry| &*entry.value),
        state.routes().values().map(|entry| &*entry.value),
        &state.settings().value,
        state.keys().keys().copied(),
    )
}

fn stamped(mut response: Response, revision: u64) -> Response {
    response
        .headers_mut()
        .insert(REVISION, HeaderValue::from(revision));
    response
}

impl Exported {
    fn of(state: &ConfigState) -> Self {
        let settings = Settings::clone(&state.settings().value);
        Self {
            upstreams: state
                .upstreams()
                .values()
                .map(|entry| Upstream::clone(&entry.value))
                .collect(),
            routes: state
                .routes()
                .values()
                .map(|entry| Route::clone(&entry.value))
                .collect(),
            settings: (settings != Settings::default()).then_some(settings),
            withheld_keys: state.keys().keys().copied().collect(),
        }
    }
}

impl Told {
    fn of(revision: u64, commit: &Commit) -> Self {
        Self {
            revision,
            id: commit.id.clone(),
            at: commit.at,
            actor: commit.actor.clone(),
            source: commit.source.clone(),
            reason: commit.reason.clone(),
            provenance: commit.provenance.clone(),
            changes: commit.events.iter().filter_map(Change::of).collect(),
        }
    }
}

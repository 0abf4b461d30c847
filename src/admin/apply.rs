//! `/api/config/apply`: many changes as one commit; what `flexgate apply FILE` sends.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use flexgate_schemas::{
    FileName, KeyId, Millis, Route, Settings, Upstream, commit::Source, event::Entity, key::GivenKey,
};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Shared,
    change::Applied,
    error::Error,
    json,
    operation::{Operation, Resource},
    params,
    read::REVISION,
    write::{How, WaitFor, Write},
};
use crate::{
    config::{
        ConfigError, Place,
        file::{self, Loaded},
    },
    domain::{self, ApplyFile, Command, Expect, KnownKey, Refusal},
    journal::TransactError,
    problem::FieldError,
};

/// The most bytes of a body: a hundred thousand routes and more.
const BODY_MAX: usize = 64 * 1024 * 1024;

/// The one thing that can be done with a whole configuration.
pub(super) fn resources() -> [Resource<Shared>; 1] {
    [Resource::at("/api/config/apply", "Configuration").post(
        apply,
        Operation::new("applyConfig", "Make the configuration as a file says, as one commit")
            .details(
                "With the name of a file: what that file made and says no more is deleted, what others made stays, and \
                 where others changed what is the file's own and the file changed it too, all of it is refused with 409, \
                 unless it is forced. Without one: creates what is missing and updates what differs, and deletes \
                 nothing. All of it or nothing. `If-Match` takes the tag of the whole configuration. As application/yaml \
                 the body is the text of a configuration file; no variables are put in here.",
            )
            .commits::<Configuration, Applied>()
            .query::<HowToApply>(),
    )]
}

/// The query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HowToApply {
    /// Only say what would be changed.
    #[serde(default)]
    dry_run: bool,
    /// Delete what no file owns and this one does not say.
    #[serde(default)]
    prune: bool,
    /// Let the file win over what others did since it was applied last.
    #[serde(default)]
    force: bool,
    /// The file whose text this is; as `file` in JSON.
    #[serde(default)]
    file: Option<Box<str>>,
    /// Answer only when every member node serves the change, or when the time is up.
    #[serde(default)]
    wait: Option<WaitFor>,
    /// How long to wait: 5 s unless said, 60 s at most. Only with `wait`.
    #[serde(default)]
    timeout: Option<Millis>,
    /// Why the change is made, for the log.
    #[serde(default)]
    #[schemars(length(max = 512))]
    reason: Option<Box<str>>,
}

/// A configuration, or a part of one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Configuration {
    /// The name of the file it was read from, which owns what it makes.
    #[serde(default)]
    file: Option<Box<str>>,
    /// Upstreams, each once.
    #[serde(default)]
    upstreams: Vec<Upstream>,
    /// Routes, each once, with their ids.
    #[serde(default)]
    routes: Vec<Route>,
    /// The settings, if they are to be set.
    #[serde(default)]
    settings: Option<Settings>,
    /// Keys whose secrets are known elsewhere, each once.
    #[serde(default)]
    keys: Vec<GivenKey>,
    /// Keys that are there and whose secrets are not told here, each once: they stay as they are. An export names all of them.
    #[serde(default)]
    withheld_keys: Vec<KeyId>,
    /// The text that it was read from, if that is no JSON.
    #[serde(skip)]
    #[schemars(skip)]
    text: Option<Box<Loaded>>,
}

async fn apply(State(admin): State<Shared>, request: Request) -> Result<Response, Error> {
    let HowToApply {
        dry_run,
        prune,
        force,
        file,
        wait,
        timeout,
        reason,
    } = params::query(request.uri())?;
    let how = How {
        wait,
        timeout,
        reason,
    };
    let write = Write::<BODY_MAX>::receive(request, &admin, how).await?;
    let configuration = Configuration::read(&write, file)?;
    let source = configuration.file.clone().map_or(Source::Api, Source::File);
    let command = configuration.command(prune, force)?;
    if dry_run {
        return configuration.rehearsed(&admin, &command);
    }
    let committed = write
        .transact_whole(&admin, command, source)
        .await
        .map_err(|error| configuration.located(error))?;
    Ok(write
        .answer_with(&admin, &committed, StatusCode::OK, Applied::of(&committed))
        .await)
}

impl Configuration {
    fn read(write: &Write<BODY_MAX>, file: Option<Box<str>>) -> Result<Self, Error> {
        let read = match write.body.yaml() {
            None => write.body.value::<Self>()?,
            Some(text) => Self::parse(file.as_deref().unwrap_or("configuration"), text?)?,
        };
        let own = read.text.as_ref().and_then(|text| text.name.as_ref());
        if let (Some(own), Some(file)) = (own, &file)
            && FileName::at(file).as_ref() != Ok(own)
        {
            let (own, pointer) = (own.to_string(), "/name".to_owned());
            let detail =
                format!("the file calls itself {own:?}, and `file` calls it {file:?}: leave one out");
            return Err(Error::Invalid(read.field(pointer, detail)));
        }
        Ok(Self {
            file: file.or(read.file),
            ..read
        })
    }

    /// What the text of a file says. The environment of this process is not for whoever sends one.
    fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let loaded = Loaded::parse(name, text, &BTreeMap::new());
        let loaded = loaded.map_err(|ConfigError(mistakes)| Error::File(mistakes))?;
        Ok(Self {
            file: loaded.name.as_ref().map(|name| name.to_string().into()),
            settings: loaded.settings_to_apply().cloned(),
            upstreams: loaded.upstreams.clone(),
            routes: loaded.routes.clone(),
            keys: loaded.keys.clone(),
            withheld_keys: loaded.withheld_keys.clone(),
            text: Some(Box::new(loaded)),
        })
    }

    fn command(&self, prune: bool, force: bool) -> Result<Command, Error> {
        let keys = self.keys.iter().map(KnownKey::from).collect();
        let (upstreams, routes) = (self.upstreams.clone(), self.routes.clone());
        let settings = self.settings.clone();
        let withheld = self.withheld_keys.clone();
        let Some(file) = &self.file else {
            if prune || force {
                return Err(Error::Query(
                    "`prune` and `force` are about what a file owns: say which, as `file`".to_owned(),
                ));
            }
            return Ok(Command::Apply {
                upstreams,
                routes,
                settings,
                keys,
                withheld,
            });
        };
        let file = FileName::at(file).map_err(|why| json::invalid("/file".to_owned(), why.to_owned()))?;
        Ok(Command::ApplyFile(Box::new(ApplyFile {
            file,
            upstreams,
            routes,
            settings,
            keys,
            withheld,
            prune,
            force,
        })))
    }

    /// Says what would come of it, and what stands against it.
    fn rehearsed(&self, admin: &Shared, command: &Command) -> Result<Response, Error> {
        let view = admin.journal.view();
        let decide = |command: &Command| domain::decide(view.state(), command, &Expect::Any);
        let located = |refusal| self.located(Error::Transact(TransactError::Refused(refusal)));
        let mut conflicts = Vec::new();
        let decision = match (decide(command), command) {
            (Err(Refusal::FileConflicts { conflicts: found, .. }), Command::ApplyFile(file)) => {
                conflicts = found;
                decide(&Command::ApplyFile(Box::new(ApplyFile {
                    force: true,
                    ..ApplyFile::clone(file)
                })))
            }
            (decided, _) => decided,
        };
        let decision = decision.map_err(located)?;
        let drifted = match command {
            Command::ApplyFile(file) => domain::drifted(view.state(), &file.file),
            _ => Vec::new(),
        };
        let planned = Applied::planned(&view, &decision, &conflicts, &drifted);
        let mut response = Json(planned).into_response();
        response
            .headers_mut()
            .insert(REVISION, HeaderValue::from(view.revision()));
        Ok(response)
    }

    /// Points at the item that made the whole of it fail.
    fn located(&self, error: Error) -> Error {
        match error {
            Error::Transact(TransactError::Refused(Refusal::Item { item, refusal })) => {
                let list = self.place_of(&item);
                let pointer = format!("{list}{}", refusal.pointer().unwrap_or_default());
                let refusal = Refusal::Item { item, refusal };
                Error::Item {
                    field: self.field(pointer, refusal.to_string()).into(),
                    refusal,
                }
            }
            Error::Transact(TransactError::Refused(Refusal::FileConflicts { file, conflicts })) => {
                let conflicting = conflicts
                    .iter()
                    .map(|conflict| (self.place_of(&conflict.entity), conflict.to_string()));
                Error::Contradicts {
                    fields: self.fields(conflicting),
                    refusal: Refusal::FileConflicts { file, conflicts },
                }
            }
            other => other,
        }
    }

    fn field(&self, pointer: String, detail: String) -> FieldError {
        let mut fields = self.fields(std::iter::once((pointer, detail)));
        fields.remove(0)
    }

    /// What is wrong in these places of what was sent, with their lines if that was the text of a file.
    fn fields(&self, wrong: impl Iterator<Item = (String, String)>) -> Vec<FieldError> {
        let Some(text) = &self.text else {
            return wrong
                .map(|(pointer, detail)| FieldError::new(pointer, detail))
                .collect();
        };
        let places = text.places();
        wrong
            .map(|(pointer, detail)| {
                let place = places.at(&pointer);
                FieldError::new(file::pointer_in_file(&pointer), detail)
                    .at(place.as_ref().map(Place::line_and_column))
            })
            .collect()
    }

    fn place_of(&self, item: &Entity) -> String {
        match item {
            Entity::Route(id) => place("/routes", self.routes.iter().position(|route| route.id == *id)),
            Entity::Upstream(name) => place(
                "/upstreams",
                self.upstreams.iter().position(|own| own.name == *name),
            ),
            Entity::Settings => "/settings".to_owned(),
            Entity::Key(id) => {
                let withheld = self.withheld_keys.iter().position(|own| own == id);
                let given = self.keys.iter().position(|own| own.id() == *id);
                match withheld {
                    Some(_) => place("/withheldKeys", withheld),
                    None => place("/keys", given),
                }
            }
            Entity::Log => String::new(),
        }
    }
}

fn place(list: &str, position: Option<usize>) -> String {
    position.map_or_else(|| list.to_owned(), |position| format!("{list}/{position}"))
}

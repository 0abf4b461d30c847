//! `/api/config/apply`: many changes as one commit; what `flexgate apply FILE` sends.

mod places;

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use flexgate_schemas::{FileName, KeyId, Millis, Route, Settings, Upstream, commit::Source, key::GivenKey};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::watch;

use self::places::{Places, field};
use super::{
    Shared, attempt,
    change::Applied,
    error::Error,
    json,
    operation::{Operation, Resource},
    params, progress,
    read::REVISION,
    write::{How, WaitFor, Write},
};
use crate::{
    config::{ConfigError, file::Loaded},
    domain::{self, ApplyFile, Command, Expect, KnownKey, Refusal},
    journal::{Progress, TransactError},
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
                 the body is the text of a configuration file; no variables are put in here. A body has 64 MiB at most, \
                 some two hundred thousand routes, which take seconds: whoever asks for `application/x-ndjson` gets a line \
                 of JSON for each step and at least one a second, always with status 200, the last of which has the \
                 status and the answer, or the problem.",
            )
            .commits::<Configuration, Applied>()
            .answers_as(200, "Lines, if they are asked for.", progress::MEDIA_TYPE, progress::line)
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
    let tells = progress::is_wanted(request.headers()) && !dry_run;
    let write = Write::<BODY_MAX>::receive(request, &admin, how).await?;
    let (write, asked) = aside(move || {
        let asked = Configuration::read(&write, file)?.asked(prune, force)?;
        Ok((write, asked))
    })
    .await?;
    if dry_run {
        return aside(move || asked.rehearsed(&admin)).await;
    }
    let Asked {
        command,
        source,
        places,
    } = asked;
    let (attempt, through) = (write.attempt.clone(), source.clone());
    let shared = admin.clone();
    let work = async move |progress: Option<watch::Sender<Progress>>| {
        let committed = write
            .transact_whole(&admin, command, source, progress)
            .await
            .map_err(|error| places.located(error))?;
        let applied = Applied::of(&committed);
        Ok(write
            .answer_with(&admin, &committed, StatusCode::OK, applied)
            .await)
    };
    if tells {
        let refused = attempt::told_later(attempt, shared, through);
        return Ok(progress::told(|progress| Box::pin(work(Some(progress))), refused));
    }
    Ok(attempt::through(through, work(None).await))
}

/// Does what may take seconds where nobody else waits for the thread.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::BodyMissing("this process is shutting down".to_owned())),
        },
    }
}

/// What is to be done, and where in the request it says what.
struct Asked {
    command: Command,
    source: Source,
    places: Places,
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
            return Err(Error::Invalid(field(read.text.as_deref(), pointer, detail)));
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

    fn asked(mut self, prune: bool, force: bool) -> Result<Asked, Error> {
        let text = self.text.take();
        let places = Places::of(&self, text);
        let source = self.file.clone().map_or(Source::Api, Source::File);
        let keys = self.keys.iter().map(KnownKey::from).collect();
        let Self {
            file,
            upstreams,
            routes,
            settings,
            withheld_keys: withheld,
            ..
        } = self;
        let command = match file {
            None if prune || force => {
                return Err(Error::Query(
                    "`prune` and `force` are about what a file owns: say which, as `file`".to_owned(),
                ));
            }
            None => Command::Apply {
                upstreams,
                routes,
                settings,
                keys,
                withheld,
            },
            Some(file) => Command::ApplyFile(Box::new(ApplyFile {
                file: FileName::at(&file).map_err(|why| json::invalid("/file".to_owned(), why.to_owned()))?,
                upstreams,
                routes,
                settings,
                keys,
                withheld,
                prune,
                force,
            })),
        };
        Ok(Asked {
            command,
            source,
            places,
        })
    }
}

impl Asked {
    /// Says what would come of it, and what stands against it.
    fn rehearsed(self, admin: &Shared) -> Result<Response, Error> {
        let Self {
            mut command, places, ..
        } = self;
        let view = admin.journal.view();
        let located = |refusal| places.located(Error::Transact(TransactError::Refused(refusal)));
        let decide = |command: &Command| domain::decide(view.state(), command, &Expect::Any);
        let mut conflicts = Vec::new();
        let decision = match (decide(&command), &mut command) {
            (Err(Refusal::FileConflicts { conflicts: found, .. }), Command::ApplyFile(file)) => {
                conflicts = found;
                file.force = true;
                decide(&command)
            }
            (decided, _) => decided,
        };
        let decision = decision.map_err(located)?;
        let drifted = match &command {
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
}

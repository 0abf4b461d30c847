//! Collections of entities: the handlers that routes and upstreams share. What is special about either is in its file.

use std::{borrow::Borrow, fmt::Display, str::FromStr, sync::Arc};

use axum::{extract::State, response::Response};
use flexgate_schemas::commit::Source;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    Shared,
    entity::{self, Entity, Outcome, Stored},
    error::Error,
    json,
    page::Paging,
    params::Id,
    precondition::Precondition,
    read::Read,
    write::Write,
};
use crate::{
    domain::{Command, ConfigState, Entry},
    journal::Committed,
};

/// A kind of entity of which there are many, each at an address of its own.
pub(super) trait Collection: Entity<Id: Identity> + DeserializeOwned + Send + Sync + 'static {
    /// Where they are.
    const PATH: &'static str;
    /// The field with the identity, and other names under which it is read.
    const IDENTITY: &'static [&'static str];
    /// One of them as it is answered.
    type Shown: Serialize + JsonSchema + Send;

    /// All of them.
    fn all(state: &ConfigState) -> &im::OrdMap<Self::Id, Entry<Arc<Self>>>;
    /// The identity of one that is created without.
    fn new_id() -> Option<String>;
    /// One of them as it is answered.
    fn show(value: Arc<Self>) -> Self::Shown;

    /// The command that creates one.
    fn creation(self) -> Command;
    /// The command that replaces one.
    fn replacement(self) -> Command;
    /// The command that changes some fields of one.
    fn amendment(id: Self::Id, patch: Value) -> Command;
    /// The command that deletes one.
    fn deletion(id: Self::Id) -> Command;
}

/// What an identity can be used for here.
pub(super) trait Identity:
    Ord + Clone + Borrow<str> + Display + FromStr<Err: Display> + Send + Sync
{
}
impl<T: Ord + Clone + Borrow<str> + Display + FromStr<Err: Display> + Send + Sync> Identity for T {}

/// `GET` of all, or of a page of them.
pub(super) async fn list<T: Collection>(read: Read<Paging>) -> Response {
    let page = read.query.cut(T::PATH, T::all(read.view.state()));
    let shown: Vec<_> = page
        .entries
        .into_iter()
        .map(|entry| Stored::of(entry).map(T::show))
        .collect();
    read.answer_page(&shown, page.next)
}

/// `GET` of one.
pub(super) async fn fetch<T: Collection>(Id(id): Id<T::Id>, read: Read) -> Result<Response, Error> {
    let entry = T::entry(read.view.state(), &id).ok_or_else(|| missing::<T>(&id))?;
    Ok(read.answer(entry.revision, &Stored::of(entry).map(T::show)))
}

/// `POST` of a new one.
pub(super) async fn create<T: Collection>(
    State(admin): State<Shared>,
    write: Write,
) -> Result<Response, Error> {
    let value: T = incoming(write.body.object()?, None)?;
    let id = value.id().clone();
    let committed = transact::<T>(&admin, &write, value.creation(), &id).await?;
    answer::<T>(&admin, &write, &committed, &id).await
}

/// `PUT` in place of the one that is there; with `If-None-Match: *` where none is.
pub(super) async fn replace<T: Collection>(
    State(admin): State<Shared>,
    Id(id): Id<T::Id>,
    write: Write,
) -> Result<Response, Error> {
    let value: T = incoming(write.body.object()?, Some(&id))?;
    let command = if matches!(write.precondition, Precondition::Absent) {
        value.creation()
    } else {
        value.replacement()
    };
    let committed = transact::<T>(&admin, &write, command, &id).await?;
    answer::<T>(&admin, &write, &committed, &id).await
}

/// `PATCH` of some fields of one (RFC 7396).
pub(super) async fn amend<T: Collection>(
    State(admin): State<Shared>,
    Id(id): Id<T::Id>,
    write: Write,
) -> Result<Response, Error> {
    let mut patch = write.body.patch()?;
    identity::<T>(&mut patch, Some(&id))?;
    let committed = transact::<T>(&admin, &write, T::amendment(id.clone(), patch.into()), &id).await?;
    answer::<T>(&admin, &write, &committed, &id).await
}

/// `DELETE` of one.
pub(super) async fn delete<T: Collection>(
    State(admin): State<Shared>,
    Id(id): Id<T::Id>,
    write: Write,
) -> Result<Response, Error> {
    let committed = transact::<T>(&admin, &write, T::deletion(id.clone()), &id).await?;
    Ok(write.answer_gone(&admin, &committed).await)
}

async fn transact<T: Collection>(
    admin: &Shared,
    write: &Write,
    command: Command,
    id: &T::Id,
) -> Result<Committed, Error> {
    let current = T::entry(admin.journal.view().state(), id).map(|entry| entry.revision);
    write.transact(admin, command, current, Source::Api).await
}

async fn answer<T: Collection>(
    admin: &Shared,
    write: &Write,
    committed: &Committed,
    id: &T::Id,
) -> Result<Response, Error> {
    let outcome = Outcome::<T>::of(&admin.journal.view(), committed, id).ok_or_else(|| missing::<T>(id))?;
    let location = outcome
        .created
        .then(|| format!("{}/{}", T::PATH, outcome.stored.value.id()));
    Ok(write
        .answer(admin, committed, outcome.stored.map(T::show), location)
        .await)
}

/// What was sent, with its identity settled and without what only answers have.
fn incoming<T: Collection>(mut fields: Map<String, Value>, addressed: Option<&T::Id>) -> Result<T, Error> {
    let said = identity::<T>(&mut fields, addressed)?;
    let settled = addressed
        .map(|id| id.to_string().into())
        .or(said)
        .or_else(|| T::new_id().map(Value::from));
    fields.extend(settled.map(|id| (T::IDENTITY[0].to_owned(), id)));
    json::value(fields)
}

/// Takes out of the fields what only answers have, and the identity. The latter may be said more than once, in the
/// address and under each of its names, but not differently.
fn identity<T: Collection>(
    fields: &mut Map<String, Value>,
    addressed: Option<&T::Id>,
) -> Result<Option<Value>, Error> {
    entity::strip(fields);
    let mut settled = addressed.map(|id| Value::from(id.to_string()));
    for name in T::IDENTITY {
        let Some(said) = fields.remove(*name) else {
            continue;
        };
        if let Some(known) = settled.as_ref().filter(|known| **known != said) {
            let detail =
                format!("this is {said}, but the request is about {known}: leave it out, or make them equal");
            return Err(json::invalid(format!("/{name}"), detail));
        }
        settled = Some(said);
    }
    Ok(settled)
}

fn missing<T: Collection>(id: &T::Id) -> Error {
    Error::Missing(format!("nothing is at {}/{id}", T::PATH))
}

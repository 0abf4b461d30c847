//! `/api/keys`: who may send requests, to routes that ask. A secret is in the answer that makes it, and nowhere else ever.

mod basic;
mod fresh;
mod shown;

use axum::{extract::State, response::Response};
use chrono::Utc;
use flexgate_schemas::{
    Event, KeyId, Timestamp,
    commit::Source,
    key::{KeyTerms, Overlap},
};
use http::{HeaderValue, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use self::{
    fresh::{Fresh, Told, random},
    shown::{Input, Shown, shown},
};
use super::{
    Shared,
    entity::{self, Stored},
    error::Error,
    json,
    operation::{Operation, Resource},
    page::Paging,
    params::Id,
    read::Read,
    write::Write,
};
use crate::{domain::Command, journal::Committed};

const TAG: &str = "Keys";
const PATH: &str = "/api/keys";
/// The fields of a key that only answers have, beside those of every entity.
const ANSWERED_ONLY: [&str; 6] = [
    "rotatedAt",
    "revokedAt",
    "previousUntil",
    "secret",
    "signing",
    "signingSecret",
];

/// What can be done with keys.
#[expect(clippy::too_many_lines, reason = "a table: one entry per operation")]
pub(super) fn resources() -> [Resource<Shared>; 6] {
    let once = "The answer has the `secret`, once: what is kept is its hash. The answer to a repetition with the same \
                `Idempotency-Key` does not have it.";
    [
        Resource::at(PATH, TAG)
            .get(
                list,
                Operation::new("listKeys", "All keys, by id")
                    .details("At most 1,000 in a page.")
                    .lists::<Shown>(),
            )
            .post(
                create,
                Operation::new("createKey", "Create a key")
                    .details(once)
                    .creates_from::<Input, Shown>(),
            ),
        Resource::at("/api/keys/{id}", TAG)
            .get(fetch, Operation::new("getKey", "One key").fetches::<Shown>())
            .put(
                replace,
                Operation::new("putKey", "Replace what a key opens")
                    .details("Its secrets stay, and so does that it is revoked.")
                    .replaces_with::<Input, Shown>(),
            )
            .patch(
                amend,
                Operation::new("patchKey", "Change some of what a key opens").amends_with::<Input, Shown>(),
            )
            .delete(
                delete,
                Operation::new("deleteKey", "Delete a key")
                    .details(
                        "Whoever has it is a stranger from then on. A key that is revoked is still told so.",
                    )
                    .deletes(),
            ),
        Resource::at("/api/keys/{id}/rotate", TAG).post(
            rotate,
            Operation::new("rotateKey", "Give a key another secret")
                .details(once)
                .replaces_with::<Rotation, Shown>(),
        ),
        Resource::at("/api/keys/{id}/signing", TAG)
            .post(
                sign,
                Operation::new("signKey", "Let a key sign requests, with another secret if it does already")
                    .details(
                        "The answer has the `signingSecret`, once. It is kept sealed, which takes a FLEXGATE_SECRET_KEY.",
                    )
                    .replaces_with::<Rotation, Shown>(),
            )
            .delete(
                unsign,
                Operation::new("unsignKey", "Let a key sign nothing any more").acts::<Shown>(),
            ),
        Resource::at("/api/keys/{id}/basic", TAG)
            .post(
                set_basic,
                Operation::new("setKeyBasic", "Give a key a user name and a password")
                    .details("In the place of those that it has. Nothing tells a password, or its hash, again.")
                    .replaces_with::<basic::Input, Shown>(),
            )
            .delete(
                unset_basic,
                Operation::new("unsetKeyBasic", "Take its user name and password from a key").acts::<Shown>(),
            ),
        Resource::at("/api/keys/{id}/revoke", TAG).post(
            revoke,
            Operation::new("revokeKey", "Let a key open nothing any more, for good").acts::<Shown>(),
        ),
    ]
}

/// How a key gets another secret.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rotation {
    /// For how long the secrets that it has stay valid; absent: they end now.
    #[serde(default)]
    overlap: Option<Overlap>,
}

async fn list(read: Read<Paging>) -> Response {
    let page = read.query.cut_at_most(PAGE_MAX, PATH, read.view.state().keys());
    let page_shown: Vec<_> = page.entries.into_iter().map(|entry| shown(entry)).collect();
    read.answer_page(&page_shown, page.next)
}

/// The most keys of a page: a million in one answer would be 200 MB.
const PAGE_MAX: u16 = 1000;

async fn fetch(Id(id): Id<KeyId>, read: Read) -> Result<Response, Error> {
    let entry = read.view.state().key(&id).ok_or_else(|| missing(&id))?;
    Ok(read.answer(entry.revision, &shown(entry)))
}

async fn create(State(admin): State<Shared>, mut write: Write) -> Result<Response, Error> {
    let mut fields = write.body.object()?;
    let sent = fields
        .remove("basic")
        .map(|sent| basic::Sent::read(sent, "/basic"));
    let (sent, terms) = (sent.transpose()?, terms(fields, None)?);
    let basic = match sent {
        Some(sent) => Some(sent.kept(None, &mut write, "/basic").await?),
        None => None,
    };
    let id = KeyId::made_of(&random()?);
    let fresh = Fresh::of(id)?;
    let command = Command::CreateKey {
        id,
        sha256: fresh.kept,
        terms,
        basic,
    };
    act(&admin, &write, &id, command, Some(Told::Secret(fresh))).await
}

async fn replace(State(admin): State<Shared>, Id(id): Id<KeyId>, write: Write) -> Result<Response, Error> {
    let terms = terms(write.body.object()?, Some(&id))?;
    act(&admin, &write, &id, Command::PutKey { id, terms }, None).await
}

async fn amend(State(admin): State<Shared>, Id(id): Id<KeyId>, write: Write) -> Result<Response, Error> {
    let patch = sent(write.body.patch()?, Some(&id))?.into();
    act(&admin, &write, &id, Command::PatchKey { id, patch }, None).await
}

async fn delete(State(admin): State<Shared>, Id(id): Id<KeyId>, write: Write) -> Result<Response, Error> {
    let committed = transact(&admin, &write, &id, Command::DeleteKey(id)).await?;
    Ok(write.answer_gone(&admin, &committed).await)
}

async fn rotate(State(admin): State<Shared>, Id(id): Id<KeyId>, write: Write) -> Result<Response, Error> {
    let (at, until) = rotation(&write)?;
    let fresh = Fresh::of(id)?;
    let command = Command::RotateKey {
        id,
        sha256: fresh.kept,
        at,
        until,
    };
    act(&admin, &write, &id, command, Some(Told::Secret(fresh))).await
}

async fn sign(State(admin): State<Shared>, Id(id): Id<KeyId>, write: Write) -> Result<Response, Error> {
    let (at, until) = rotation(&write)?;
    let fresh = Fresh::sealed(&admin, id)?;
    let command = Command::SignKey {
        id,
        secret: fresh.kept.clone(),
        at,
        until,
    };
    act(&admin, &write, &id, command, Some(Told::Signing(fresh))).await
}

async fn unsign(State(admin): State<Shared>, Id(id): Id<KeyId>, write: Write) -> Result<Response, Error> {
    act(&admin, &write, &id, Command::UnsignKey(id), None).await
}

async fn set_basic(
    State(admin): State<Shared>,
    Id(id): Id<KeyId>,
    mut write: Write,
) -> Result<Response, Error> {
    let sent = basic::Sent::read(write.body.object()?.into(), "")?;
    let view = admin.journal.view();
    let key = view.state().key(&id).map(|entry| entry.value.particulars());
    let current = key.and_then(|own| Some(own.basic.as_ref()?.username.clone()));
    let basic = Some(sent.kept(current, &mut write, "").await?);
    act(&admin, &write, &id, Command::SetBasic { id, basic }, None).await
}

async fn unset_basic(
    State(admin): State<Shared>,
    Id(id): Id<KeyId>,
    write: Write,
) -> Result<Response, Error> {
    act(&admin, &write, &id, Command::SetBasic { id, basic: None }, None).await
}

/// Now, and until when the secrets that there are stay valid.
fn rotation(write: &Write) -> Result<(Timestamp, Timestamp), Error> {
    let rotation = if write.body.bytes.is_empty() {
        Rotation::default()
    } else {
        write.body.value()?
    };
    let now = Utc::now();
    let until = rotation.overlap.map_or(now, |overlap| now + overlap.duration());
    Ok((now.into(), until.into()))
}

async fn revoke(State(admin): State<Shared>, Id(id): Id<KeyId>, write: Write) -> Result<Response, Error> {
    let at = Utc::now().into();
    act(&admin, &write, &id, Command::RevokeKey { id, at }, None).await
}

/// What was sent, without what only answers have. The identity may be repeated, not changed.
fn sent(mut fields: Map<String, Value>, addressed: Option<&KeyId>) -> Result<Map<String, Value>, Error> {
    entity::strip(&mut fields);
    let is_answered = |basic: &Value| {
        let fields = basic.as_object();
        fields.is_some_and(|fields| fields.keys().all(|name| name == "username"))
    };
    if fields.remove("basic").is_some_and(|basic| !is_answered(&basic)) {
        return Err(json::invalid(
            "/basic",
            "of a key that is there, POST and DELETE /api/keys/{id}/basic change the user name and the password",
        ));
    }
    fields.retain(|name, _| !ANSWERED_ONLY.contains(&&**name));
    match (fields.remove("id"), addressed) {
        (None, _) => Ok(fields),
        (Some(said), Some(id)) if said == id.as_str() => Ok(fields),
        (Some(_), _) => Err(json::invalid(
            "/id",
            "nobody chooses the id of a key: leave it out",
        )),
    }
}

fn terms(fields: Map<String, Value>, addressed: Option<&KeyId>) -> Result<KeyTerms, Error> {
    json::value(sent(fields, addressed)?)
}

async fn transact(admin: &Shared, write: &Write, id: &KeyId, command: Command) -> Result<Committed, Error> {
    let current = admin.journal.view().state().key(id).map(|entry| entry.revision);
    write.transact(admin, command, current, Source::Api).await
}

/// Does it, and answers with what became of the key: as the log has it, so that a repetition is answered like the request
/// itself, but without the secret, which only the request itself has made.
async fn act(
    admin: &Shared,
    write: &Write,
    id: &KeyId,
    command: Command,
    fresh: Option<Told>,
) -> Result<Response, Error> {
    let committed = transact(admin, write, id, command).await?;
    let carried = committed.events.iter().find_map(|event| match event {
        Event::KeyCreated(key) => Some((key, true)),
        Event::KeyUpdated(key) => Some((key, false)),
        _ => None,
    });
    let view = admin.journal.view();
    let entry = |id: &KeyId| view.state().key(id);
    let Some((key, created)) = carried else {
        let stored = shown(entry(id).ok_or_else(|| missing(id))?);
        return Ok(write.answer(admin, &committed, stored, None).await);
    };
    let before = entry(&key.id).filter(|_| !created);
    let mut stored = Stored {
        value: Shown::of(key),
        revision: committed.revision,
        created_at: before.map_or(committed.at, |entry| entry.created_at),
        updated_at: committed.at,
    };
    let has_secret = fresh.is_some_and(|fresh| fresh.tell(key, &mut stored.value));
    let location = created.then(|| format!("{PATH}/{}", key.id));
    let mut response = write.answer(admin, &committed, stored, location).await;
    if has_secret {
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}

fn missing(id: &KeyId) -> Error {
    Error::Missing(format!("nothing is at {PATH}/{id}"))
}

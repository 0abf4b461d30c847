//! From a command to events, or a refusal.

use flexgate_schemas::{ApiKey, Route, Settings, Upstream};

use super::{Command, ConfigState, Decision, Expect, KnownKey, Refusal, draft::Draft, file};

/// What a command comes to in this state. The caller's expectation is checked here, where nothing can come between.
pub fn decide(state: &ConfigState, command: &Command, expect: &Expect) -> Result<Decision, Refusal> {
    let mut draft = Draft::new(state, expect);
    match command {
        Command::CreateRoute(route) => draft.create(route)?,
        Command::PutRoute(route) => draft.put(route)?,
        Command::PatchRoute { id, patch } => draft.patch::<Route>(id, patch)?,
        Command::DeleteRoute(id) => draft.delete::<Route>(id)?,
        Command::CreateUpstream(upstream) => draft.create(upstream)?,
        Command::PutUpstream(upstream) => draft.put(upstream)?,
        Command::PatchUpstream { name, patch } => draft.patch::<Upstream>(name, patch)?,
        Command::DeleteUpstream(name) => draft.delete::<Upstream>(name)?,
        Command::PutSettings(settings) => draft.put(settings)?,
        Command::CreateKey {
            id,
            sha256,
            terms,
            basic,
        } => {
            let key = ApiKey::new(*id, *sha256, terms.clone());
            draft.create(&key.with_basic(basic.clone()))?;
        }
        Command::PutKey { id, terms } => draft.put_key(id, terms.clone())?,
        Command::PatchKey { id, patch } => draft.patch_key(id, patch)?,
        Command::RotateKey {
            id,
            sha256,
            at,
            until,
        } => draft.rotate_key(id, *sha256, *at, *until)?,
        Command::SignKey {
            id,
            secret,
            at,
            until,
        } => draft.sign_key(id, secret, *at, *until)?,
        Command::UnsignKey(id) => draft.unsign_key(id)?,
        Command::SetBasic { id, basic } => draft.set_basic(id, basic.clone())?,
        Command::RevokeKey { id, at } => draft.revoke_key(id, *at)?,
        Command::DeleteKey(id) => draft.delete::<ApiKey>(id)?,
        Command::Apply {
            upstreams,
            routes,
            settings,
            keys,
            withheld,
        } => {
            let keys = known(state, keys);
            draft.check_withheld(withheld, &keys)?;
            apply(&mut draft, (upstreams, routes, settings.as_ref()), &keys)?;
        }
        Command::ApplyFile(command) => file::apply(&mut draft, state, command)?,
    }
    Ok(draft.into_decision())
}

/// Places everything before it checks anything: two routes may swap their paths.
fn apply(
    draft: &mut Draft<'_>,
    (upstreams, routes, settings): (&[Upstream], &[Route], Option<&Settings>),
    keys: &[ApiKey],
) -> Result<(), Refusal> {
    draft.each(upstreams, Draft::place_or_create)?;
    draft.each(settings, Draft::place)?;
    draft.each(routes, Draft::place_or_create)?;
    draft.each(keys, Draft::place_or_create)?;
    draft.each(upstreams, Draft::check)?;
    draft.each(settings, Draft::check)?;
    draft.each(routes, Draft::check)?;
    draft.each(keys, Draft::check)
}

/// The keys as they are to be: with the secrets that they have, if they are there.
pub(super) fn known(state: &ConfigState, keys: &[KnownKey]) -> Vec<ApiKey> {
    let as_it_is_to_be = |known: &KnownKey| {
        let key = match state.key(&known.id()) {
            Some(entry) => entry.value.with_terms(known.terms.clone()),
            None => ApiKey::new(known.id(), known.sha256, known.terms.clone()),
        };
        match &known.basic {
            Some(basic) => key.with_basic(Some(basic.clone())),
            None => key,
        }
    };
    keys.iter().map(as_it_is_to_be).collect()
}

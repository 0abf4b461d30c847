//! From a command to events, or a refusal.

use flexgate_schemas::{Route, Settings, Upstream};

use super::{Command, ConfigState, Decision, Expect, Refusal, draft::Draft};

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
        Command::Apply {
            upstreams,
            routes,
            settings,
        } => apply(&mut draft, upstreams, routes, settings.as_ref())?,
    }
    Ok(draft.into_decision())
}

/// Places everything before it checks anything: two routes may swap their paths.
fn apply(
    draft: &mut Draft<'_>,
    upstreams: &[Upstream],
    routes: &[Route],
    settings: Option<&Settings>,
) -> Result<(), Refusal> {
    draft.each(upstreams, Draft::place_or_create)?;
    draft.each(settings, Draft::place)?;
    draft.each(routes, Draft::place_or_create)?;
    draft.each(upstreams, Draft::check)?;
    draft.each(settings, Draft::check)?;
    draft.each(routes, Draft::check)
}

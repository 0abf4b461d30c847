//! Applying a file: what it made becomes as it says now, what others made or changed is not undone.

use std::collections::BTreeSet;

use flexgate_schemas::{
    ApiKey, Event, FileDigest, FileName, KeyId, Route, Settings, Upstream,
    event::Entity,
    file::{Entities, FileApplied},
};

use super::{
    ConfigState, KnownKey, Refusal,
    decide::known,
    draft::Draft,
    entity::{Listed, Managed},
    ownership::Owned,
    refusal::{Conflict, Contradiction},
};

/// Everything that a file says, and how far that goes.
#[derive(Debug, Clone, PartialEq)]
pub struct ApplyFile {
    /// The file, which owns what it makes.
    pub file: FileName,
    /// The upstreams, each once.
    pub upstreams: Vec<Upstream>,
    /// The routes, each once.
    pub routes: Vec<Route>,
    /// The settings, if it says any.
    pub settings: Option<Settings>,
    /// The keys, each once. One that is there keeps its secrets: it may have got others since.
    pub keys: Vec<KnownKey>,
    /// Keys that it speaks of without their secrets, each once: they stay as they are, whoever they belong to.
    pub withheld: Vec<KeyId>,
    /// Whether everything else that is no file's own is deleted, too.
    pub prune: bool,
    /// Whether the file wins over what others did since it was applied last.
    pub force: bool,
}

/// What is to happen to an entity of the file.
enum Verdict {
    /// The file says nothing new of it; it may have drifted.
    Leave,
    /// It is as the file says, and is its own from now on.
    Claim,
    /// It becomes as the file says.
    Place,
    /// Somebody else decided otherwise.
    Refuse(Contradiction),
}

/// The decision in the making, and what is found on the way.
struct Applying<'d, 'a> {
    draft: &'d mut Draft<'a>,
    state: &'a ConfigState,
    command: &'d ApplyFile,
    conflicts: Vec<Conflict>,
    claims: Entities,
    releases: Entities,
}

pub(super) fn apply<'a>(
    draft: &mut Draft<'a>,
    state: &'a ConfigState,
    command: &ApplyFile,
) -> Result<(), Refusal> {
    let keys = known(state, &command.keys);
    draft.check_withheld(&command.withheld, &keys)?;
    something_left(state, command, &keys)?;
    let mut applying = Applying {
        draft,
        state,
        command,
        conflicts: Vec::new(),
        claims: Entities::default(),
        releases: Entities::default(),
    };
    // What goes makes room for what comes: a route may match what one matched that is gone.
    let gone_upstreams = applying.gone(
        ids(&command.upstreams),
        &state.ownership().upstreams,
        state.upstreams().keys(),
    );
    let routes = ids(&command.routes);
    applying.gone(routes, &state.ownership().routes, state.routes().keys());
    let all_keys = ids(&keys).chain(&command.withheld);
    applying.gone(all_keys, &state.ownership().keys, state.keys().keys());
    applying.settings_gone();
    applying.place(&command.upstreams)?;
    applying.place(command.settings.as_ref())?;
    applying.place(&command.routes)?;
    applying.place(&keys)?;
    applying.without_conflicts()?;
    applying.check(&command.upstreams)?;
    applying.check(command.settings.as_ref())?;
    applying.check(&command.routes)?;
    applying.check(&keys)?;
    applying.draft.check_deletions::<Upstream>(&gone_upstreams)?;
    applying.finish(&keys);
    Ok(())
}

impl<'a> Applying<'_, 'a> {
    /// Deletes what the file said once and says no more, and with `prune` what no file says.
    fn gone<'s, E>(
        &mut self,
        said: impl Iterator<Item = &'s E::Id>,
        owned: &im::OrdMap<E::Id, Owned<E>>,
        all: impl Iterator<Item = &'a E::Id>,
    ) -> Vec<E::Id>
    where
        E: Says + Listed + 'a,
        E::Id: 's,
    {
        let said: BTreeSet<&E::Id> = said.collect();
        let mut gone = Vec::new();
        for (id, own) in owned
            .iter()
            .filter(|(id, own)| *own.by == self.command.file && !said.contains(id))
        {
            E::list(&mut self.releases, id.clone());
            match E::entry(self.state, id) {
                None => {}
                Some(now) if self.command.force || now.value.agrees_with(&own.said) => gone.push(id.clone()),
                Some(now) => self.conflict(E::entity(id), Contradiction::GoneThoughChanged(now.revision)),
            }
        }
        if self.command.prune {
            gone.extend(
                all.filter(|id| !said.contains(*id) && !owned.contains_key(*id))
                    .cloned(),
            );
        }
        for id in &gone {
            self.draft.remove::<E>(id);
        }
        gone
    }

    /// Settings cannot be deleted: they go back to their defaults.
    fn settings_gone(&mut self) {
        let Some(own) = &self.state.ownership().settings else {
            return;
        };
        if self.command.settings.is_some() || *own.by != self.command.file {
            return;
        }
        self.releases.settings = true;
        let now = self.state.settings();
        let is_gone = *now.value == Settings::default();
        if self.command.force || is_gone || *now.value == *own.said {
            self.draft.reset_settings();
        } else {
            self.conflict(Entity::Settings, Contradiction::GoneThoughChanged(now.revision));
        }
    }

    fn place<'v, E: Says + 'v>(&mut self, said: impl IntoIterator<Item = &'v E>) -> Result<(), Refusal> {
        let (state, command) = (self.state, self.command);
        let (conflicts, claims) = (&mut self.conflicts, &mut self.claims);
        self.draft.each(said, |draft, said| {
            match verdict(state, command, said) {
                Verdict::Leave => {}
                Verdict::Claim => E::list(claims, said.id().clone()),
                Verdict::Place => {
                    said.place(draft)?;
                    E::list(claims, said.id().clone());
                }
                Verdict::Refuse(why) => conflicts.push(Conflict {
                    entity: E::entity(said.id()),
                    why,
                }),
            }
            Ok(())
        })
    }

    /// What has drifted and stays so was checked when it was changed.
    fn check<'v, E: Says + 'v>(&mut self, said: impl IntoIterator<Item = &'v E>) -> Result<(), Refusal> {
        self.draft.each(said, |draft, said| {
            if draft.is_so(said) {
                draft.check(said)
            } else {
                Ok(())
            }
        })
    }

    fn conflict(&mut self, entity: Entity, why: Contradiction) {
        self.conflicts.push(Conflict { entity, why });
    }

    fn without_conflicts(&mut self) -> Result<(), Refusal> {
        if self.conflicts.is_empty() {
            return Ok(());
        }
        Err(Refusal::FileConflicts {
            file: self.command.file.clone(),
            conflicts: std::mem::take(&mut self.conflicts),
        })
    }

    /// Says in the log what the file owns, unless that is known and the same.
    fn finish(self, keys: &[ApiKey]) {
        let digest = digest(self.command, keys);
        let last = self.state.ownership().files.get(&self.command.file);
        let is_known = last.is_some_and(|last| last.digest == digest);
        if is_known && self.claims.is_empty() && self.releases.is_empty() {
            return;
        }
        let applied = FileApplied {
            file: self.command.file.clone(),
            digest,
            claims: self.claims,
            releases: self.releases,
        };
        for piece in applied.in_pieces() {
            self.draft.happen(Event::FileApplied(piece.into()));
        }
    }
}

/// The rule of who wins, for one entity that a file speaks of.
fn verdict<E: Says>(state: &ConfigState, command: &ApplyFile, said: &E) -> Verdict {
    let now = E::entry(state, said.id());
    let is_so = now.as_ref().is_some_and(|now| now.value.agrees_with(said));
    let owned = E::owned(state, said.id());
    match owned {
        Some(own) if *own.by != command.file => {
            if command.force {
                return if is_so { Verdict::Claim } else { Verdict::Place };
            }
            Verdict::Refuse(Contradiction::OtherFile(FileName::clone(&own.by)))
        }
        // The file has not changed it. Whoever has, has decided later.
        Some(own) if own.said.agrees_with(said) && (is_so || !command.force) => Verdict::Leave,
        _ if is_so => Verdict::Claim,
        _ if command.force => Verdict::Place,
        Some(own) => match now {
            Some(now) if now.value.agrees_with(&own.said) => Verdict::Place,
            Some(now) => Verdict::Refuse(Contradiction::Changed(now.revision)),
            None => Verdict::Refuse(Contradiction::Deleted),
        },
        None => match now {
            Some(now) if E::LISTED || now.revision > 0 => {
                Verdict::Refuse(Contradiction::NotOwned(now.revision))
            }
            // Nothing is there, or settings that nobody has made.
            Some(_) | None => Verdict::Place,
        },
    }
}

/// A file that has nothing of what it had is more likely another one of the same name, or one that was cut off, than meant so.
/// Where it had one thing that cannot be told from an edit.
fn something_left(state: &ConfigState, command: &ApplyFile, keys: &[ApiKey]) -> Result<(), Refusal> {
    fn left<'a, E: Managed + 'a>(
        file: &FileName,
        own: &im::OrdMap<E::Id, Owned<E>>,
        said: impl Iterator<Item = &'a E::Id>,
    ) -> (usize, bool) {
        let is_its = |own: &Owned<E>| *own.by == *file;
        let count = own.values().filter(|own| is_its(own)).count();
        (count, said.into_iter().any(|id| own.get(id).is_some_and(is_its)))
    }
    let own = state.ownership();
    let file = &command.file;
    let all_keys = ids(keys).chain(&command.withheld);
    let found = [
        left(file, &own.upstreams, ids(&command.upstreams)),
        left(file, &own.routes, ids(&command.routes)),
        left(file, &own.keys, all_keys),
    ];
    let count = found.iter().map(|(count, _)| count).sum();
    if count < 2 || command.force || found.iter().any(|(_, is_left)| *is_left) {
        return Ok(());
    }
    Err(Refusal::NothingLeft {
        file: file.clone(),
        count,
    })
}

fn ids<E: Managed>(said: &[E]) -> impl Iterator<Item = &E::Id> {
    said.iter().map(Managed::id)
}

/// Of everything that it says, by identity.
fn digest(command: &ApplyFile, keys: &[ApiKey]) -> FileDigest {
    let mut upstreams: Vec<_> = command.upstreams.iter().collect();
    upstreams.sort_by(|one, other| one.name.cmp(&other.name));
    let mut routes: Vec<_> = command.routes.iter().collect();
    routes.sort_by(|one, other| one.id.cmp(&other.id));
    let mut keys: Vec<_> = keys
        .iter()
        .map(|key| (key.id, key.terms(), &key.particulars().basic))
        .collect();
    keys.sort_by_key(|(id, ..)| *id);
    let said = (upstreams, routes, &command.settings, keys);
    let canonical = if command.withheld.is_empty() {
        serde_json::to_vec(&said)
    } else {
        let withheld: BTreeSet<_> = command.withheld.iter().collect();
        serde_json::to_vec(&(said, withheld))
    };
    FileDigest::of(&canonical.expect("entities have string keys"))
}

/// What a file can speak of.
trait Says: Managed {
    /// Whether it comes and goes; settings are always there.
    const LISTED: bool;

    fn owned<'a>(state: &'a ConfigState, id: &Self::Id) -> Option<&'a Owned<Self>>;
    fn list(entities: &mut Entities, id: Self::Id);
    fn place(&self, draft: &mut Draft<'_>) -> Result<(), Refusal>;
}

macro_rules! says {
    ($type:ty, $list:ident) => {
        impl Says for $type {
            const LISTED: bool = true;

            fn owned<'a>(state: &'a ConfigState, id: &Self::Id) -> Option<&'a Owned<Self>> {
                state.ownership().$list.get(id)
            }

            fn list(entities: &mut Entities, id: Self::Id) {
                entities.$list.push(id);
            }

            fn place(&self, draft: &mut Draft<'_>) -> Result<(), Refusal> {
                draft.place_or_create(self)
            }
        }
    };
}

says!(Upstream, upstreams);
says!(Route, routes);
says!(ApiKey, keys);

impl Says for Settings {
    const LISTED: bool = false;

    fn owned<'a>(state: &'a ConfigState, (): &()) -> Option<&'a Owned<Self>> {
        state.ownership().settings.as_ref()
    }

    fn list(entities: &mut Entities, (): ()) {
        entities.settings = true;
    }

    fn place(&self, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        draft.place(self)
    }
}

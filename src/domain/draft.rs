//! A decision in the making.

use std::{collections::BTreeSet, sync::Arc};

use flexgate_schemas::{Event, Settings, Timestamp};
use serde_json::Value;

use super::{
    ConfigState, Decision, Entry, Expect, Refusal, Stamp, Warning,
    entity::{Listed, Managed},
    evolve, patch,
};

/// The events so far, and the state as it would be after them.
pub(super) struct Draft<'a> {
    before: &'a ConfigState,
    expect: &'a Expect,
    after: ConfigState,
    decision: Decision,
}

impl<'a> Draft<'a> {
    pub(super) fn new(before: &'a ConfigState, expect: &'a Expect) -> Self {
        // For both of them, and for whatever comes after.
        before.get_ready_to_decide();
        Self {
            before,
            expect,
            after: before.clone(),
            decision: Decision {
                events: Vec::new(),
                warnings: Vec::new(),
            },
        }
    }

    pub(super) fn into_decision(self) -> Decision {
        self.decision
    }

    pub(super) fn create<E: Listed>(&mut self, value: &E) -> Result<(), Refusal> {
        self.place_new(value)?;
        self.check(value)
    }

    pub(super) fn put<E: Managed>(&mut self, value: &E) -> Result<(), Refusal> {
        self.place(value)?;
        self.check(value)
    }

    pub(super) fn patch<E: Listed>(&mut self, id: &E::Id, patch: &Value) -> Result<(), Refusal> {
        let current = self.current::<E>(id)?;
        let mut patch = patch::object(patch)?.clone();
        E::respell(&mut patch);
        let value = patch::patched(current.value, &patch)?;
        if value.id() != id {
            return Err(Refusal::Invalid {
                pointer: E::ID_POINTER.to_owned(),
                detail: "the identity cannot be changed: create another one and delete this one".to_owned(),
            });
        }
        self.put(&value)
    }

    pub(super) fn delete<E: Listed>(&mut self, id: &E::Id) -> Result<(), Refusal> {
        self.current::<E>(id)?;
        E::check_deletion(id, self.before)?;
        self.happen(E::deleted(id.clone()));
        Ok(())
    }

    /// Takes something away that is there. Whether it may go is for [`Draft::check_deletions`] to say, when everything else
    /// is in its place.
    pub(super) fn remove<E: Listed>(&mut self, id: &E::Id) {
        self.happen(E::deleted(id.clone()));
    }

    pub(super) fn check_deletions<E: Listed>(&self, ids: &[E::Id]) -> Result<(), Refusal> {
        for id in ids {
            E::check_deletion(id, &self.after).map_err(|refusal| Refusal::Item {
                item: E::entity(id),
                refusal: Box::new(refusal),
            })?;
        }
        Ok(())
    }

    /// Whether there is such a thing before anything happens.
    pub(super) fn is_there<E: Managed>(&self, id: &E::Id) -> bool {
        E::entry(self.before, id).is_some()
    }

    /// Whether something is so in the state as it would be.
    pub(super) fn is_so<E: Managed>(&self, value: &E) -> bool {
        E::entry(&self.after, value.id()).is_some_and(|entry| entry.value.agrees_with(value))
    }

    pub(super) fn reset_settings(&mut self) {
        if *self.before.settings().value != Settings::default() {
            self.happen(Event::SettingsUpdated(Arc::default()));
        }
    }

    /// Takes a step for each of several entities, none of which may be there twice.
    pub(super) fn each<'v, E: Managed + 'v>(
        &mut self,
        values: impl IntoIterator<Item = &'v E>,
        mut step: impl FnMut(&mut Self, &E) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut seen = BTreeSet::new();
        for value in values {
            let done = if seen.insert(value.id()) {
                step(self, value)
            } else {
                Err(Refusal::ListedTwice)
            };
            done.map_err(|refusal| Refusal::Item {
                item: E::entity(value.id()),
                refusal: Box::new(refusal),
            })?;
        }
        Ok(())
    }

    /// Updates what is there, creates what is not.
    pub(super) fn place_or_create<E: Listed>(&mut self, value: &E) -> Result<(), Refusal> {
        match E::entry(self.before, value.id()) {
            Some(_) => self.place(value),
            None => self.place_new(value),
        }
    }

    /// The new value of something that is there.
    pub(super) fn place<E: Managed>(&mut self, value: &E) -> Result<(), Refusal> {
        if self.current::<E>(value.id())?.value != value {
            self.happen(E::updated(Arc::new(value.clone())));
        }
        Ok(())
    }

    /// Something that is not there yet, or exactly as it is there.
    fn place_new<E: Listed>(&mut self, value: &E) -> Result<(), Refusal> {
        let current = E::entry(self.before, value.id());
        self.check_expectation(value.id(), current.as_ref())?;
        match current {
            Some(entry) if entry.value == value => {}
            Some(_) => return Err(Refusal::AlreadyExists(E::entity(value.id()))),
            None if E::count(&self.after) >= E::MAX => {
                return Err(Refusal::TooMany {
                    kind: E::KIND,
                    limit: E::MAX,
                });
            }
            None => self.happen(E::created(Arc::new(value.clone()))),
        }
        Ok(())
    }

    /// Holds the rules against something in the state as it would be. What has not changed has passed them before.
    pub(super) fn check<E: Managed>(&mut self, value: &E) -> Result<(), Refusal> {
        let before = E::entry(self.before, value.id()).map(|entry| entry.value);
        if before != Some(value) {
            value.check(before, &self.after)?;
        }
        self.decision.warnings.extend(value.warnings(&self.after));
        Ok(())
    }

    pub(super) fn warn(&mut self, warning: Warning) {
        self.decision.warnings.push(warning);
    }

    /// What is there, if it is and is what the caller expects.
    pub(super) fn current<E: Managed>(&self, id: &E::Id) -> Result<Entry<&'a E>, Refusal> {
        let entry = E::entry(self.before, id).ok_or_else(|| Refusal::NotFound(E::entity(id)))?;
        self.check_expectation(id, Some(&entry))?;
        Ok(entry)
    }

    fn check_expectation<E: Managed>(&self, id: &E::Id, entry: Option<&Entry<&E>>) -> Result<(), Refusal> {
        let current = entry.map(|entry| entry.revision);
        let met = match *self.expect {
            Expect::Any => true,
            Expect::Absent => current.is_none(),
            Expect::Revision(revision) => current == Some(revision),
        };
        if met {
            Ok(())
        } else {
            Err(Refusal::Stale {
                entity: E::entity(id),
                current,
            })
        }
    }

    pub(super) fn happen(&mut self, event: Event) {
        // The draft's state is only asked for values, never for revisions and times.
        let stamp = Stamp {
            revision: 0,
            at: Timestamp::default(),
        };
        evolve(&mut self.after, &event, &stamp);
        self.decision.events.push(event);
    }
}

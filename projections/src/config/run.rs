//! Events of a commit that one statement can apply.

use std::collections::BTreeSet;

use flexgate_schemas::{
    Event,
    audit::{Action, Change},
    event::Entity,
};

/// The most events of a run.
const RUN_MAX: usize = 1000;

/// Some events in a row that do the same to different entities of one kind, in their order.
pub(super) struct Run<'a> {
    /// What the entities are.
    pub(super) kind: Kind,
    /// What becomes of them.
    pub(super) action: Action,
    /// Each, with its place in the commit.
    pub(super) changes: Vec<(usize, Change<'a>)>,
}

/// What has a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Route,
    Upstream,
    Key,
    Settings,
}

impl Kind {
    /// Nothing for the log itself.
    fn of(entity: &Entity) -> Option<Self> {
        match entity {
            Entity::Log => None,
            Entity::Route(_) => Some(Self::Route),
            Entity::Upstream(_) => Some(Self::Upstream),
            Entity::Key(_) => Some(Self::Key),
            Entity::Settings => Some(Self::Settings),
        }
    }
}

/// Cuts the events of a commit into runs. What is only about the log is in none of them.
pub(super) fn runs(events: &[Event]) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    let mut entities = BTreeSet::new();
    for (place, event) in events.iter().enumerate() {
        let Some(change) = Change::of(event) else { continue };
        let Some(kind) = Kind::of(&change.entity) else {
            continue;
        };
        let goes_on = runs.last().is_some_and(|run| {
            (run.kind, run.action) == (kind, change.action)
                && run.changes.len() < RUN_MAX
                && !entities.contains(&change.entity)
        });
        if !goes_on {
            entities.clear();
            runs.push(Run {
                kind,
                action: change.action,
                changes: Vec::new(),
            });
        }
        entities.insert(change.entity.clone());
        if let Some(run) = runs.last_mut() {
            run.changes.push((place, change));
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(verb: &str, id: &str) -> Event {
        let data = match verb {
            "deleted" => format!(r#"{{"id":"{id}"}}"#),
            _ => format!(r#"{{"id":"{id}","path":"/","upstream":"http://x"}}"#),
        };
        serde_json::from_str(&format!(
            r#"{{"type":"io.flexgate.route.{verb}.v1","data":{data}}}"#
        ))
        .unwrap()
    }

    fn lengths(events: &[Event]) -> Vec<usize> {
        runs(events).iter().map(|run| run.changes.len()).collect()
    }

    #[test]
    fn a_run_ends_where_something_else_is_done_or_to_the_same_entity() {
        let [a, b] = ["a", "b"].map(|id| route("created", id));
        let events = [
            a.clone(),
            b,
            route("updated", "a"),
            route("updated", "a"),
            route("deleted", "b"),
            a,
        ];
        assert_eq!(lengths(&events), [2, 1, 1, 1, 1]);
        assert_eq!(lengths(&[]), [] as [usize; 0]);
        let many: Vec<_> = (0..2001).map(|id| route("created", &id.to_string())).collect();
        assert_eq!(lengths(&many), [1000, 1000, 1]);
    }
}

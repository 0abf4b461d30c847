//! The fold: what each event does to the config state.

use flexgate_schemas::{ApiKey, Event};

use super::{ConfigState, Entry, Stamp, ownership};

/// Applies one event. Total: also an event that [`super::decide`] would never have made has one defined effect, the
/// same on every node. What comes to be replaces what is there, and what is not there cannot be missed.
pub fn evolve(state: &mut ConfigState, event: &Event, stamp: &Stamp) {
    match event {
        Event::HistoryStarted(_) | Event::LogFenced(_) => {}
        Event::RouteCreated(route) => state.put_route(created(route, stamp)),
        Event::RouteUpdated(route) => {
            let entry = updated(route, state.route(&route.id), stamp);
            state.put_route(entry);
        }
        Event::RouteDeleted(deleted) => state.remove_route(&deleted.id),
        Event::UpstreamCreated(upstream) => state.put_upstream(created(upstream, stamp)),
        Event::UpstreamUpdated(upstream) => {
            let entry = updated(upstream, state.upstream(&upstream.name), stamp);
            state.put_upstream(entry);
        }
        Event::UpstreamDeleted(deleted) => state.remove_upstream(&deleted.name),
        Event::SettingsUpdated(settings) => {
            let set_before = Some(state.settings()).filter(|settings| settings.revision > 0);
            let entry = updated(settings, set_before, stamp);
            state.put_settings(entry);
        }
        // Without the event around it, a key that is held in one piece costs less than one that is shared.
        Event::KeyCreated(key) => state.put_key(created(&ApiKey::clone(key), stamp)),
        Event::KeyUpdated(key) => {
            let entry = updated(&ApiKey::clone(key), state.key(&key.id), stamp);
            state.put_key(entry);
        }
        Event::KeyDeleted(deleted) => state.remove_key(&deleted.id),
        Event::FileApplied(applied) => state.own(ownership::after(state, applied, stamp)),
    }
}

fn created<V: Clone>(value: &V, stamp: &Stamp) -> Entry<V> {
    Entry {
        value: value.clone(),
        revision: stamp.revision,
        created_at: stamp.at,
        updated_at: stamp.at,
    }
}

fn updated<V: Clone>(value: &V, before: Option<&Entry<V>>, stamp: &Stamp) -> Entry<V> {
    Entry {
        created_at: before.map_or(stamp.at, |before| before.created_at),
        ..created(value, stamp)
    }
}

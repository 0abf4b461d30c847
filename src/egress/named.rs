//! The hosts that upstreams name.

use flexgate_schemas::security::Host;

/// Each host with the number of targets that are there.
#[derive(Debug, Clone, Default)]
pub(super) struct NamedHosts(im::OrdMap<Host, u32>);

impl NamedHosts {
    pub(super) fn add(&mut self, host: Host) {
        *self.0.entry(host).or_insert(0) += 1;
    }

    pub(super) fn remove(&mut self, host: &Host) {
        match self.0.get_mut(host) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.0.remove(host)),
        }
    }

    pub(super) fn contains(&self, host: &Host) -> bool {
        self.0.contains_key(host)
    }
}

//! What is kept of many requests.

use flexgate_schemas::{Outcome, Sketch, outcome::LeftOut};

/// Requests of one route in one span of time, added up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sums {
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// Microseconds from arrival to the last byte.
    pub(super) latency: Sketch,
    /// Microseconds until an upstream's answer began, of those that had one.
    pub(super) upstream_latency: Sketch,
}

impl Sums {
    pub(super) fn add(&mut self, outcome: &Outcome<'_>) {
        self.requests += 1;
        self.errors += u64::from(outcome.is_error());
        self.bytes_in = self.bytes_in.saturating_add(outcome.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(outcome.bytes_out);
        self.latency.record(outcome.micros);
        if let Some(micros) = outcome.upstream_micros {
            self.upstream_latency.record(micros);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.count(other.requests, other.errors, other.bytes_in, other.bytes_out);
        self.latency.merge(&other.latency);
        self.upstream_latency.merge(&other.upstream_latency);
    }

    pub(super) fn add_left_out(&mut self, group: &LeftOut) {
        self.count(group.requests, group.errors, group.bytes_in, group.bytes_out);
        self.latency.merge(&group.latency);
        self.upstream_latency.merge(&group.upstream_latency);
    }

    fn count(&mut self, requests: u64, errors: u64, bytes_in: u64, bytes_out: u64) {
        self.requests = self.requests.saturating_add(requests);
        self.errors = self.errors.saturating_add(errors);
        self.bytes_in = self.bytes_in.saturating_add(bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(bytes_out);
    }
}

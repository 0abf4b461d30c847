//! A frame in the making: outcomes go in one by one, each straight into the columns.

use std::collections::HashMap;

use super::{
    Body, Run,
    column::{Measured, Repeating},
};
use crate::outcome::{LeftOut, MICROS_PER_HOUR, Outcome};

/// Outcomes of one source that will share a frame, in the order of their counters.
#[derive(Debug, Default)]
pub struct Draft<'a> {
    /// The counter of the first.
    first: u64,
    rows: u32,
    /// The arrivals of the first row and of the last so far, and the extremes of all.
    from: i64,
    before: i64,
    times: Option<(i64, i64)>,
    columns: Columns<'a>,
    left_out: Vec<LeftOut>,
    /// Where among `left_out` an outcome counts.
    groups: HashMap<Group<'a>, usize>,
    left_out_count: u32,
}

/// What outcomes without a row have in common with those they are summed up with.
type Group<'a> = (i64, [Option<&'a str>; 4], u8);

#[derive(Debug, Default)]
struct Columns<'a> {
    /// Only when some outcomes have no row: else it is known.
    place: Measured<u32>,
    arrival: Measured<i64>,
    after: Measured<i64>,
    generation: Repeating<u64>,
    revision: Repeating<u64>,
    route: Repeating<Option<&'a str>>,
    upstream: Repeating<Option<&'a str>>,
    target: Repeating<Option<&'a str>>,
    method: Repeating<&'a str>,
    host: Repeating<Option<&'a str>>,
    path: Repeating<&'a str>,
    query: Repeating<Option<&'a str>>,
    status: Repeating<Option<u16>>,
    refused: Repeating<Option<&'a str>>,
    error: Repeating<Option<&'a str>>,
    attempts: Measured<u32>,
    micros: Measured<u64>,
    own_micros: Measured<Option<u64>>,
    bytes_in: Measured<u64>,
    bytes_out: Measured<u64>,
    key: Repeating<Option<&'a str>>,
    client: Repeating<Option<&'a str>>,
    user_agent: Repeating<Option<&'a str>>,
    correlation: Repeating<Option<&'a str>>,
    trace: Repeating<Option<&'a str>>,
    matched: Repeating<Option<&'a str>>,
}

impl<'a> Draft<'a> {
    /// An empty one, whose first outcome will have this counter.
    pub fn new(first: u64) -> Self {
        Self {
            first,
            ..Self::default()
        }
    }

    /// The next outcome, which has a row.
    pub fn add(&mut self, outcome: &Outcome<'a>) {
        if self.rows == 0 {
            (self.from, self.before) = (outcome.at, outcome.at);
        }
        if self.left_out_count > 0 {
            self.columns.place.push(self.count()); // counters have no gaps
        }
        self.columns.push(outcome.at.wrapping_sub(self.before), outcome);
        self.before = outcome.at;
        self.rows += 1;
        self.note(outcome.at);
    }

    /// The next outcome, which has no row and is only counted.
    pub fn leave_out(&mut self, outcome: &Outcome<'a>) {
        let names = [outcome.route, outcome.upstream, outcome.refused, outcome.key];
        let group = (outcome.hour(), names, outcome.status_class());
        let place = *self.groups.entry(group).or_insert_with(|| {
            self.left_out.push(LeftOut::beside(outcome));
            self.left_out.len() - 1
        });
        self.left_out[place].add(outcome);
        if self.left_out_count == 0 {
            (0..self.rows).for_each(|place| self.columns.place.push(place));
        }
        self.left_out_count += 1;
        self.note(outcome.hour() * MICROS_PER_HOUR);
    }

    /// How many outcomes there are.
    pub fn count(&self) -> u32 {
        self.rows + self.left_out_count
    }

    /// How many of them have a row.
    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// The counter of the first.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The first and the last arrival, in microseconds since 1970; of outcomes without a row the hour counts.
    pub(super) fn times(&self) -> (i64, i64) {
        self.times.unwrap_or_default()
    }

    /// What is written of it.
    pub(super) fn body(self, run: &Run) -> Body<&'a str> {
        let columns = self.columns;
        Body {
            node: run.source.node.clone(),
            boot: run.source.boot.clone(),
            core: run.source.core,
            first: run.first,
            count: run.count,
            id_key: run.id_key,
            rows: self.rows,
            from: self.from,
            place: (self.left_out_count > 0).then(|| columns.place.finish()),
            arrival: columns.arrival.finish(),
            after: columns.after.finish(),
            generation: columns.generation.finish(),
            revision: columns.revision.finish(),
            route: columns.route.finish(),
            upstream: columns.upstream.finish(),
            target: columns.target.finish(),
            method: columns.method.finish(),
            host: columns.host.finish(),
            path: columns.path.finish(),
            query: columns.query.finish(),
            status: columns.status.finish(),
            refused: columns.refused.finish(),
            error: columns.error.finish(),
            attempts: columns.attempts.finish(),
            micros: columns.micros.finish(),
            own_micros: columns.own_micros.finish(),
            bytes_in: columns.bytes_in.finish(),
            bytes_out: columns.bytes_out.finish(),
            key: columns.key.finish(),
            client: columns.client.finish(),
            user_agent: columns.user_agent.finish(),
            correlation: columns.correlation.finish(),
            trace: columns.trace.finish(),
            matched: columns.matched.finish(),
            left_out: self.left_out,
        }
    }

    fn note(&mut self, at: i64) {
        let (first, last) = self.times.unwrap_or((at, at));
        self.times = Some((first.min(at), last.max(at)));
    }
}

impl<'a> Columns<'a> {
    fn push(&mut self, after: i64, row: &Outcome<'a>) {
        let own = |upstream: u64| row.micros.saturating_sub(upstream);
        self.arrival
            .push(row.arrival.cast_signed().wrapping_sub(row.counter.cast_signed()));
        self.after.push(after);
        self.generation.push(row.generation);
        self.revision.push(row.revision);
        self.route.push(row.route);
        self.upstream.push(row.upstream);
        self.target.push(row.target);
        self.method.push(row.method);
        self.host.push(row.host);
        self.path.push(row.path);
        self.query.push(row.query);
        self.status.push(row.status);
        self.refused.push(row.refused);
        self.error.push(row.error);
        self.attempts.push(row.attempts);
        self.micros.push(row.micros);
        self.own_micros.push(row.upstream_micros.map(own));
        self.bytes_in.push(row.bytes_in);
        self.bytes_out.push(row.bytes_out);
        self.key.push(row.key);
        self.client.push(row.client);
        self.user_agent.push(row.user_agent);
        self.correlation.push(row.correlation);
        self.trace.push(row.trace);
        self.matched.push(row.matched);
    }
}

//! The accounting equation: what was recorded is in the outbox, on the stream or in the tables, and the tables agree with
//! each other. Pure: whoever asks brings what each of them holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
};

use flexgate_projections::{Accounts, Taken};
use flexgate_schemas::frame::Source;

/// Counters of many sources, as runs.
#[derive(Debug, Clone, Default)]
pub struct Runs(BTreeMap<Source, Vec<Range<u64>>>);

/// A message of the stream, as its headers have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it lies.
    pub sequence: u64,
    /// Whose outcomes, and which; none if it is not a frame.
    pub run: Option<(Source, Range<u64>)>,
}

/// Where all outcomes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Whereabouts {
    /// That were recorded, as far as their counters tell.
    pub recorded: u64,
    /// That are in the tables.
    pub applied: u64,
    /// That are on the stream and not in the tables, since the projector is not there yet.
    pub on_stream: u64,
    /// That are in the outboxes that were looked at, and nowhere else.
    pub in_outbox: u64,
    /// That are nowhere.
    pub missing: u64,
}

/// What does not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    what: &'static str,
    one: u64,
    other: u64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Where all outcomes are.
    pub whereabouts: Whereabouts,
    /// What does not add up; nothing, if all is well.
    pub differences: Vec<Difference>,
}

impl Runs {
    /// Adds a run.
    pub fn add(&mut self, source: Source, run: Range<u64>) {
        self.0.entry(source).or_default().push(run);
    }

    /// The runs of a source, in order, each counter once.
    fn of(&self, source: &Source) -> Vec<Range<u64>> {
        let mut runs = self.0.get(source).cloned().unwrap_or_default();
        runs.sort_by_key(|run| run.start);
        let mut joined: Vec<Range<u64>> = Vec::with_capacity(runs.len());
        for run in runs {
            match joined.last_mut() {
                Some(last) if run.start <= last.end => last.end = last.end.max(run.end),
                _ => joined.push(run),
            }
        }
        joined
    }
}

/// Holds everything against everything. The tables are to be read first, then the stream, then the outbox: outcomes go the
/// other way, so that none is missed in between.
pub fn check(accounts: &Accounts, stream: &[Message], outbox: &Runs) -> Verdict {
    let mut on_stream = Runs::default();
    let mut skipped = 0;
    for Message { sequence, run } in stream {
        let Some((source, run)) = run else { continue };
        on_stream.add(source.clone(), run.clone());
        let taken = accounts.sources.get(source);
        if *sequence <= accounts.position.sequence && !is_taken(taken, run) {
            skipped += 1;
        }
    }
    let sources: BTreeSet<&Source> = accounts
        .sources
        .keys()
        .chain(on_stream.0.keys())
        .chain(outbox.0.keys())
        .collect();
    let mut whereabouts = Whereabouts::default();
    for source in sources {
        let taken = accounts.sources.get(source).cloned().unwrap_or_default();
        whereabouts.add(&taken, &on_stream.of(source), &outbox.of(source));
    }
    let mut equal = Equal::default();
    let explained = accounts.counts.dead_letters.min(skipped);
    equal.hold(
        "messages that were passed unapplied, and dead letters",
        skipped,
        explained,
    );
    equal.hold("outcomes that are nowhere, and none", whereabouts.missing, 0);
    hold_tables(accounts, &mut equal);
    Verdict {
        whereabouts,
        differences: equal.0,
    }
}

fn is_taken(taken: Option<&Taken>, run: &Range<u64>) -> bool {
    taken.is_some_and(|taken| taken.missing(run).is_empty())
}

impl Whereabouts {
    fn add(&mut self, taken: &Taken, stream: &[Range<u64>], outbox: &[Range<u64>]) {
        let end = |runs: &[Range<u64>]| runs.last().map_or(0, |run| run.end);
        let recorded = taken.mark().max(end(stream)).max(end(outbox));
        let unapplied = taken.missing(&(0..recorded));
        let waiting: Vec<_> = unapplied.iter().flat_map(|run| common(run, stream)).collect();
        let elsewhere: Vec<_> = unapplied.iter().flat_map(|run| without(run, stream)).collect();
        let kept: u64 = elsewhere
            .iter()
            .flat_map(|run| common(run, outbox))
            .map(length)
            .sum();
        self.recorded += recorded;
        self.applied += recorded - unapplied.into_iter().map(length).sum::<u64>();
        self.on_stream += waiting.into_iter().map(length).sum::<u64>();
        self.in_outbox += kept;
        self.missing += elsewhere.into_iter().map(length).sum::<u64>() - kept;
    }
}

/// The parts of a run that are in others, which are in order.
fn common(run: &Range<u64>, others: &[Range<u64>]) -> Vec<Range<u64>> {
    let within = |other: &Range<u64>| run.start.max(other.start)..run.end.min(other.end);
    others
        .iter()
        .map(within)
        .filter(|part| !part.is_empty())
        .collect()
}

/// The parts of a run that are not in others, which are in order.
fn without(run: &Range<u64>, others: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut left = Vec::new();
    let mut from = run.start;
    for part in common(run, others) {
        left.push(from..part.start);
        from = part.end;
    }
    left.push(from..run.end);
    left.retain(|part| !part.is_empty());
    left
}

fn length(run: Range<u64>) -> u64 {
    run.end - run.start
}

/// What the tables say against each other. Hours that were brought back were counted elsewhere, so that sums of what was
/// applied here say nothing of them.
fn hold_tables(accounts: &Accounts, equal: &mut Equal) {
    let counts = &accounts.counts;
    let applied = accounts.sources.values().map(|taken| taken.outcomes).sum();
    let with_rows = accounts.sources.values().map(|taken| taken.rows).sum();
    equal.hold("rows and their ids", counts.rows, counts.ids);
    equal.hold(
        "requests by hour and in sketches",
        counts.hours,
        counts.hours_in_sketches,
    );
    equal.hold(
        "requests by hour and by status",
        counts.hours,
        counts.hours_by_status,
    );
    equal.hold(
        "requests by hour and by day",
        counts.hours_of_days,
        counts.days_with_hours,
    );
    equal.hold(
        "requests by day and by week",
        counts.days_of_weeks,
        counts.weeks_with_days,
    );
    if counts.restored_hours > 0 {
        return;
    }
    equal.hold(
        "outcomes that were applied and requests by week",
        applied,
        counts.weeks,
    );
    // Old rows go with their partitions: then the hours that are left tell, if every outcome has a row.
    if counts.rows >= with_rows {
        equal.hold("outcomes with a row and rows", with_rows, counts.rows);
    } else if with_rows == applied {
        equal.hold(
            "rows and requests by hour",
            counts.rows_of_hours,
            counts.hours_with_rows,
        );
    }
}

/// Pairs of numbers that must be equal, and were not.
#[derive(Debug, Default)]
struct Equal(Vec<Difference>);

impl Equal {
    fn hold(&mut self, what: &'static str, one: u64, other: u64) {
        if one != other {
            self.0.push(Difference { what, one, other });
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, one, other } = self;
        write!(out, "{what}: {one} and {other}")
    }
}

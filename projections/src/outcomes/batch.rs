//! The fold: frames in, what is to be written out. No database, no clock.

use std::{collections::HashMap, ops::Range};

use flexgate_schemas::{
    NodeId, Outcome, Timestamp,
    frame::{Delivered, Frame, FrameError, Opened, SENT, Source},
    outcome::LeftOut,
};
use tokio::task::spawn_blocking;

use super::{
    arrivals::Arrivals,
    rows::Rows,
    seen::Seen,
    sums::Sums,
    symbols::{Symbol, Symbols},
};

/// How far a node's clock may be ahead of the server's before its outcomes are put aside: they would open partitions that
/// belong to a future which other nodes do not live in.
const AHEAD_MAX_MILLIS: i64 = 24 * 3_600_000;

/// How far a node's clock may be from the server's before somebody hears of it: its requests count in the wrong hour.
const SKEW_MILLIS: i64 = 60_000;

/// What is known of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) seen: Seen,
    /// Outcomes that were applied.
    pub(super) outcomes: u64,
    /// How many of them have a row.
    pub(super) rows: u64,
    pub(super) arrivals: Arrivals,
}

/// The sources, as far as they have been folded. Runs ahead of the database by the batches that are being written.
#[derive(Debug, Clone, Default)]
pub(super) struct Fold {
    pub(super) sources: HashMap<Source, Progress>,
    /// Hours whose counts were restored, and up to which sequence they are complete: earlier frames only bring rows.
    pub(super) complete: HashMap<i64, u64>,
}

/// Several messages, folded: what one transaction writes.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The sequence of the first message.
    pub(super) first: u64,
    /// The sequence of the last message.
    pub(super) through: u64,
    pub(super) messages: usize,
    pub(super) rows: Rows,
    pub(super) symbols: Symbols,
    /// By hour and route.
    pub(super) hours: HashMap<(i64, Symbol), Sums>,
    pub(super) statuses: HashMap<Status, u64>,
    /// By hour and API key.
    pub(super) usage: HashMap<(i64, Symbol), Sums>,
    /// The sources that went on, as they are afterwards.
    pub(super) sources: HashMap<Source, Progress>,
    pub(super) dead: Vec<Dead>,
    pub(super) outcomes: u64,
    /// Outcomes that had been applied before.
    pub(super) repeated: u64,
    /// When the last message was stored.
    pub(super) stored_at: Timestamp,
    /// The clock that is furthest from the server's, if one is too far.
    pub(super) skew: Option<Skew>,
}

/// A node whose clock is not the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skew {
    /// The node.
    pub node: NodeId,
    /// How far it is ahead, in milliseconds; below 0 if it is behind.
    pub ahead_millis: i64,
}

/// A row of `flexgate.status_hourly`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Status {
    pub(super) hour: i64,
    pub(super) route: Symbol,
    pub(super) upstream: Symbol,
    pub(super) class: u8,
    pub(super) refused: Symbol,
}

/// A message that cannot be applied, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// The message, whole.
    pub message: Delivered,
    /// Why.
    pub error: String,
}

/// Why a frame that can be read is put aside nevertheless.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(
        "its last request arrived at {at}, more than a day after the server stored it: the node's clock is wrong"
    )]
    Clock { at: Timestamp },
    #[error("it repeats some of what was applied before, and what it has summed up cannot be taken apart")]
    PartlyRepeated,
}

impl Fold {
    /// Folds messages, in the order of the stream.
    pub(super) fn fold(&mut self, messages: Vec<Delivered>) -> Batch {
        let mut batch = Batch {
            first: messages.first().map_or(0, |first| first.sequence),
            ..Batch::default()
        };
        for message in messages {
            batch.through = message.sequence;
            batch.stored_at = message.stored_at;
            batch.messages += 1;
            if let Err(error) = self.add(&message, &mut batch) {
                let error = error.to_string();
                batch.dead.push(Dead { message, error });
            }
        }
        batch
    }

    /// The same beside whoever waits for it: it takes as long as there is to be folded.
    pub(super) async fn fold_aside(mut self, messages: Vec<Delivered>) -> (Self, Batch) {
        let folding = spawn_blocking(move || {
            let batch = self.fold(messages);
            (self, batch)
        });
        folding
            .await
            .expect("the fold does not panic, and is not cancelled")
    }

    fn add(&mut self, delivered: &Delivered, batch: &mut Batch) -> Result<(), Unfit> {
        let opened = Opened::new(&delivered.message)?;
        let frame = opened.read()?;
        let run = frame.run();
        batch.note_clock(&run.source.node, delivered);
        check_times(&frame, delivered.stored_at)?;
        let progress = self.sources.entry(run.source.clone()).or_default();
        let fresh = progress.seen.fresh(&run.counters());
        let fresh_count: u64 = fresh.iter().map(|part| part.end - part.start).sum();
        let whole = fresh_count == u64::from(run.count);
        if !whole && fresh_count > 0 && !frame.left_out().is_empty() {
            return Err(Unfit::PartlyRepeated);
        }
        batch.repeated += u64::from(run.count) - fresh_count;
        if fresh_count == 0 {
            return Ok(());
        }
        let rows_before = batch.rows.count();
        let sequence = delivered.sequence;
        let complete = &self.complete;
        let counts = |hour| complete.get(&hour).is_none_or(|through| sequence > *through);
        batch.add_frame(&frame, (!whole).then_some(&*fresh), counts);
        batch.outcomes += fresh_count;
        progress.seen.see(&run.counters());
        progress.outcomes += fresh_count;
        progress.rows += batch.rows.count() - rows_before;
        progress.arrivals.widen(Arrivals::new(frame.times()));
        batch.sources.insert(run.source.clone(), progress.clone());
        Ok(())
    }
}

impl Batch {
    /// Compares the times at which a message was sent and stored, of which nothing else lies in between.
    fn note_clock(&mut self, node: &NodeId, delivered: &Delivered) {
        let sent = delivered
            .message
            .header(SENT)
            .and_then(|sent| sent.parse::<Timestamp>().ok());
        let Some(sent) = sent else { return };
        let ahead_millis = sent.as_millis() - delivered.stored_at.as_millis();
        let known = self
            .skew
            .as_ref()
            .map_or(SKEW_MILLIS, |known| known.ahead_millis.abs());
        if ahead_millis.abs() > known {
            self.skew = Some(Skew {
                node: node.clone(),
                ahead_millis,
            });
        }
    }

    /// Only the outcomes in `parts`, if some were applied before; only the rows of those in an hour that does not count.
    fn add_frame(&mut self, frame: &Frame<'_>, parts: Option<&[Range<u64>]>, counts: impl Fn(i64) -> bool) {
        for outcome in frame.rows() {
            if parts.is_some_and(|parts| !parts.iter().any(|part| part.contains(&outcome.counter))) {
                continue;
            }
            self.rows.push(frame, &outcome);
            if counts(outcome.hour()) {
                self.add_outcome(&outcome);
            }
        }
        for group in frame.left_out().iter().filter(|group| counts(group.hour)) {
            self.add_left_out(group);
        }
    }

    fn add_outcome(&mut self, outcome: &Outcome<'_>) {
        let hour = outcome.hour();
        let route = self.symbols.of(outcome.route);
        let status = Status {
            hour,
            route,
            upstream: self.symbols.of(outcome.upstream),
            class: outcome.status_class(),
            refused: self.symbols.of(outcome.refused),
        };
        *self.statuses.entry(status).or_default() += 1;
        self.hours.entry((hour, route)).or_default().add(outcome);
        if outcome.key.is_some() {
            let key = self.symbols.of(outcome.key);
            self.usage.entry((hour, key)).or_default().add(outcome);
        }
    }

    fn add_left_out(&mut self, group: &LeftOut) {
        let hour = group.hour;
        let route = self.symbols.of(group.route.as_deref());
        let status = Status {
            hour,
            route,
            upstream: self.symbols.of(group.upstream.as_deref()),
            class: group.status_class,
            refused: self.symbols.of(group.refused.as_deref()),
        };
        let count = self.statuses.entry(status).or_default();
        *count = count.saturating_add(group.requests);
        self.hours.entry((hour, route)).or_default().add_left_out(group);
        if group.key.is_some() {
            let key = self.symbols.of(group.key.as_deref());
            self.usage.entry((hour, key)).or_default().add_left_out(group);
        }
    }
}

fn check_times(frame: &Frame<'_>, stored_at: Timestamp) -> Result<(), Unfit> {
    let last = frame.times().map_or(0, |(_, last)| last.div_euclid(1000));
    if last - stored_at.as_millis() > AHEAD_MAX_MILLIS {
        let at = Timestamp::from_millis(last).unwrap_or_default();
        return Err(Unfit::Clock { at });
    }
    Ok(())
}

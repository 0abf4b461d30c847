//! The files of one core of one start, in order: read, sent, acknowledged.

use std::{collections::VecDeque, fmt, io, time::Duration};

use async_nats::{
    HeaderMap,
    jetstream::context::{PublishAckFuture, PublishError},
};
use chrono::Utc;
use flexgate_schemas::{
    Timestamp,
    frame::{self, OUTCOMES_MAX, SENT},
};
use metrics::counter;
use tokio::time::timeout;

use super::{
    Place as Destination,
    cut::{Cut, cut},
};
use crate::{
    journal::jetstream::Link,
    outcomes::outbox::{Outbox, Place, Reader},
};

/// How many frames of a core are on their way at once. Full: nothing more is cut until the first is acknowledged.
const IN_FLIGHT_MAX: usize = 8;
/// How many frames of a core are sent before it is the next one's turn.
const FRAMES_PER_TURN: usize = 64;
/// How long the server may take to acknowledge a frame, with the time it is without a leader.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(10);

/// One core of one start.
pub(super) struct Line {
    id: (u32, u16),
    /// The file that is read, and where.
    at: Option<(Place, Reader)>,
    /// The number of the file that was read to its end last.
    done: Option<u64>,
    /// How many outcomes the next frame may have.
    limit: usize,
    in_flight: VecDeque<InFlight>,
}

struct InFlight {
    place: Place,
    count: u32,
    ack: PublishAckFuture,
}

/// Why a frame is not on the stream.
#[derive(Debug)]
pub(super) enum Stuck {
    /// There is no memory to make it.
    Memory(io::Error),
    /// The server did not take it.
    Refused(PublishError),
    /// The server did not answer.
    Silent,
}

impl fmt::Display for Stuck {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(error) => error.fmt(out),
            Self::Refused(error) => error.fmt(out),
            Self::Silent => write!(out, "no answer within {} s", ACKNOWLEDGED_WITHIN.as_secs()),
        }
    }
}

impl Line {
    pub(super) fn new(id: (u32, u16)) -> Self {
        Self {
            id,
            at: None,
            done: None,
            limit: OUTCOMES_MAX / 2,
            in_flight: VecDeque::new(),
        }
    }

    /// Sends what there is, but not so much that other lines wait for long.
    pub(super) async fn send(
        &mut self,
        outbox: &Outbox,
        link: &Link,
        to: &Destination,
        writer: &mut frame::Writer,
    ) -> Result<(), Stuck> {
        for _ in 0..FRAMES_PER_TURN {
            let Some((place, cut)) = self.next_frame(outbox, writer)? else {
                break;
            };
            while self.in_flight.len() >= IN_FLIGHT_MAX {
                self.acknowledge(outbox).await?;
            }
            let ack = publish(link, to, &cut).await?;
            self.in_flight.push_back(InFlight {
                place,
                count: cut.count,
                ack,
            });
        }
        Ok(())
    }

    /// Takes the acknowledgements of everything that is on its way.
    pub(super) async fn settle(&mut self, outbox: &Outbox) -> Result<(), Stuck> {
        while !self.in_flight.is_empty() {
            self.acknowledge(outbox).await?;
        }
        Ok(())
    }

    /// Whether nothing of it is being read or on its way.
    pub(super) fn is_at_rest(&self) -> bool {
        self.at.is_none() && self.in_flight.is_empty()
    }

    /// The next frame and the file it is from; `None` when everything there is has been read.
    fn next_frame(
        &mut self,
        outbox: &Outbox,
        writer: &mut frame::Writer,
    ) -> Result<Option<(Place, Cut)>, Stuck> {
        loop {
            if self.at.is_none() {
                self.at = outbox.claim(self.id, self.done);
            }
            let Some((place, reader)) = &mut self.at else {
                return Ok(None);
            };
            // Before it is read: what was written until then is seen, and no more comes.
            let sealed = reader.segment().sealed();
            if let Some(cut) = cut(reader, writer, &mut self.limit).map_err(Stuck::Memory)? {
                reader.go_to(cut.end);
                return Ok(Some((*place, cut)));
            }
            let Some(count) = sealed else { return Ok(None) };
            if reader.count() < count {
                let (read, lost) = (reader.count(), count - reader.count());
                tracing::error!(
                    ?place,
                    read,
                    lost,
                    "a file of the outbox is broken: the rest of it is lost"
                );
                outbox.broken_after(*place, read);
            }
            self.done = Some(place.number);
            self.at = None;
        }
    }

    /// Waits for the first frame that is on its way.
    async fn acknowledge(&mut self, outbox: &Outbox) -> Result<(), Stuck> {
        let Some(first) = self.in_flight.pop_front() else {
            return Ok(());
        };
        match timeout(ACKNOWLEDGED_WITHIN, first.ack).await {
            Ok(Ok(_)) => {
                counter!("flexgate_outcomes_shipped_total").increment(first.count.into());
                counter!("flexgate_outcome_frames_total").increment(1);
                outbox.shipped(first.place, first.count);
                Ok(())
            }
            Ok(Err(error)) => Err(Stuck::Refused(error)),
            Err(_) => Err(Stuck::Silent),
        }
    }
}

/// Sends a frame. What comes back resolves when the server has it.
async fn publish(link: &Link, to: &Destination, cut: &Cut) -> Result<PublishAckFuture, Stuck> {
    let mut headers = HeaderMap::new();
    for (name, value) in &cut.sealed.headers {
        headers.insert(&**name, &**value);
    }
    headers.insert("Nats-Expected-Stream", &*to.stream);
    headers.insert(SENT, Timestamp::from(Utc::now()).to_string());
    let payload = cut.sealed.payload.clone().into();
    let sending = link
        .jetstream()
        .publish_with_headers(to.subject.clone(), headers, payload);
    match timeout(ACKNOWLEDGED_WITHIN, sending).await {
        Ok(sent) => sent.map_err(Stuck::Refused),
        Err(_) => Err(Stuck::Silent),
    }
}

//! A stream to make outcomes anew from, of which the first messages are gone.

use flexgate::outcomes::closed_hours::ClosedHours;
use flexgate_projections::{Building, Error, Live, OutcomeProjector, Refill, Retention};
use flexgate_schemas::{
    frame::{Delivered, Sealed},
    rollup::ClosedHour,
};
use futures_util::stream;

use crate::outcomes::{database::created, frames::delivered};

/// A stream of which the first messages are gone.
pub(in crate::outcomes) struct Kept {
    pub(in crate::outcomes) frames: Vec<Delivered>,
    hours: Vec<Vec<ClosedHour>>,
}

impl Kept {
    pub(in crate::outcomes) fn of(frames: &[Sealed], gone: usize) -> Self {
        Self {
            frames: delivered(frames.to_vec()).into_iter().skip(gone).collect(),
            hours: Vec::new(),
        }
    }

    pub(super) async fn with_hours(self, stream: &ClosedHours) -> Self {
        Self {
            hours: stream.newest().await.unwrap(),
            ..self
        }
    }
}

impl Refill for Kept {
    async fn end(&mut self) -> Result<u64, Error> {
        Ok(self.frames.last().map_or(0, |last| last.sequence))
    }

    async fn goal(&mut self, live: &Live) -> Result<Option<u64>, Error> {
        Ok(live.stream_created.map(|_| live.sequence))
    }

    async fn fill(
        &mut self,
        building: &Building,
        until: u64,
        at: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<u64>, Error> {
        let mut projector =
            OutcomeProjector::take_over(building.connect().await?, Retention::default()).await?;
        if projector.is_new() {
            projector.restore(created(), self.hours.clone()).await?;
        }
        let after = projector.position().sequence;
        let due: Vec<_> = self
            .frames
            .iter()
            .filter(|frame| (after + 1..=until).contains(&frame.sequence))
            .cloned()
            .collect();
        let first = due.first().map(|first| first.sequence);
        projector
            .run(created(), stream::iter(due), |applied| {
                at(applied.position.sequence);
            })
            .await?;
        Ok(first.filter(|_| after == 0))
    }
}

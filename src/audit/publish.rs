//! Takes what was told to the stream.

use std::time::Duration;

use flexgate_schemas::AdminEvent;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout_at},
};

use super::Audit;
use crate::{
    drain::Tasks,
    journal::jetstream::{Link, Names},
};

/// The pause before an event is published again.
const PUBLISH_PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked which minutes are over.
const SUM_UP_EVERY: Duration = Duration::from_secs(5);
/// How long the events that are left may take when the tasks are stopped.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// Takes events to the stream, in order, each until it is acknowledged, until the tasks are stopped; then what is left.
pub async fn publish(
    audit: Audit,
    mut events: mpsc::Receiver<AdminEvent>,
    (link, names): (Link, Names),
    tasks: Tasks,
) {
    let mut clock = interval(SUM_UP_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let publisher = Publisher { audit, link, names };
    // The event that is being published when the tasks are stopped is published again: it has an id.
    let mut current = None;
    let publishing = async {
        loop {
            tokio::select! {
                Some(event) = events.recv() => publisher.one(current.insert(event)).await,
                _ = clock.tick() => publisher.sum_up(),
            }
            current = None;
        }
    };
    let _stopped: Option<()> = tasks.unless_stopped(publishing).await;
    let rest = publisher.audit.tally().rest();
    for event in rest {
        publisher.audit.send(event);
    }
    let deadline = Instant::now() + FINISH_WITHIN;
    while let Some(event) = current.take().or_else(|| events.try_recv().ok()) {
        if timeout_at(deadline, publisher.one(&event)).await.is_err() {
            publisher.audit.lost(event.deed.verb());
        }
    }
}

struct Publisher {
    audit: Audit,
    link: Link,
    names: Names,
}

impl Publisher {
    /// What was left out of minutes that are over.
    fn sum_up(&self) {
        let over = self.audit.tally().over(Instant::now());
        for event in over {
            self.audit.send(event);
        }
    }

    async fn one(&self, event: &AdminEvent) {
        let subject = self.names.admin_subject(event.deed.verb());
        let envelope = event.envelope();
        while let Err(reason) = self.link.publish(subject.clone(), &envelope, event).await {
            tracing::debug!(reason, id = event.id, "not published yet");
            sleep(PUBLISH_PAUSE).await;
        }
        self.audit.settled_one();
    }
}

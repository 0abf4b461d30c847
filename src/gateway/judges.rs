//! Who judges bodies that would keep a core from its other requests.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::refusal::{Invalid, Refusal};
use crate::validation::Schema;

/// How long a body waits for a judge. Those that wait are bounded by the room that there is for them.
const WAIT: Duration = Duration::from_secs(10);

/// So many threads of a node as may judge at once.
#[derive(Debug)]
pub(super) struct Judges(Arc<Semaphore>);

impl Judges {
    /// Half as many as there are cores: requests without a body must get on.
    pub(super) fn new(cores: NonZeroUsize) -> Arc<Self> {
        let judges = Semaphore::new((cores.get() / 2).max(1));
        Arc::new(Self(Arc::new(judges)))
    }

    /// Whether a body is right: said at once where that takes a moment only, else by one of them. A verdict that nobody
    /// waits for any more is reached all the same, and holds its body until then: at most one for each of them.
    pub(super) async fn judge(&self, schema: &Arc<Schema>, body: Bytes) -> Result<(), Refusal> {
        if schema.is_quick(body.len()) {
            return verdict(schema, &body);
        }
        let Ok(Ok(seat)) = timeout(WAIT, Arc::clone(&self.0).acquire_owned()).await else {
            return Err(Refusal::Invalid(Invalid::Overloaded));
        };
        let schema = Arc::clone(schema);
        let judging = spawn_blocking(move || {
            let verdict = verdict(&schema, &body);
            drop(seat);
            verdict
        });
        let judged = judging.await;
        judged.unwrap_or(Err(Refusal::Invalid(Invalid::Unjudgeable))) // it broke down: nobody knows
    }
}

fn verdict(schema: &Schema, body: &[u8]) -> Result<(), Refusal> {
    let judged = schema.judge(body);
    judged.map_err(|mistakes| Refusal::Invalid(Invalid::Body(mistakes)))
}

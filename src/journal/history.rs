//! Reading commits for people and read models: `events tail`, the event stream of the admin API, the projector.

use std::sync::Arc;

use flexgate_schemas::Commit;
use futures_util::{
    future::BoxFuture,
    stream::{self, BoxStream, StreamExt as _},
};

use super::{
    Recorded,
    store::{Record, Store, StoreError, Subscription as _},
};

/// A log of any store, as far as readers of commits care.
pub(super) trait History: Send + Sync {
    /// The commits after a revision, then whatever comes.
    fn commits(&self, after: u64) -> BoxFuture<'static, Result<BoxStream<'static, Recorded>, StoreError>>;
}

impl<S: Store> History for S {
    fn commits(&self, after: u64) -> BoxFuture<'static, Result<BoxStream<'static, Recorded>, StoreError>> {
        let store = self.clone();
        Box::pin(async move {
            let first = store.head().await?.first;
            let subscription = store.subscribe(after.max(first - 1)).await?;
            let records = stream::unfold(subscription, |mut subscription| async {
                let record = subscription.next().await.ok()?;
                Some((record, subscription))
            });
            Ok(records
                .filter_map(|record| std::future::ready(recorded(&record)))
                .boxed())
        })
    }
}

/// Parts of change sets, and commits that this build cannot read, are passed over. Whoever acts on what is read here
/// sees the gap by the chain.
fn recorded(record: &Record) -> Option<Recorded> {
    let commit = Commit::from_payload(&record.payload).ok()?;
    Some(Recorded {
        revision: record.sequence,
        chain: commit.parent.then(&record.payload),
        commit: Arc::new(commit),
    })
}

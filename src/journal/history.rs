//! Reading commits for people and read models: `events tail`, the event stream of the admin API, the projector.

use std::sync::Arc;

use flexgate_schemas::Commit;
use futures_util::{
    future::BoxFuture,
    stream::{self, BoxStream, StreamExt as _},
};

use super::{
    Recorded,
    store::{Store, StoreError, Subscription as _},
    whole::{Whole, is_part},
};

/// A log of any store, as far as readers of commits care.
pub(super) trait History: Send + Sync {
    /// The commits after a revision, then whatever comes.
    fn commits(&self, after: u64) -> BoxFuture<'static, Result<BoxStream<'static, Recorded>, StoreError>>;
    /// The commit of a revision, if there is one that can be read.
    fn commit(&self, revision: u64) -> BoxFuture<'static, Result<Option<Recorded>, StoreError>>;
}

impl<S: Store> History for S {
    fn commits(&self, after: u64) -> BoxFuture<'static, Result<BoxStream<'static, Recorded>, StoreError>> {
        let store = self.clone();
        Box::pin(async move {
            let first = store.head().await?.first;
            let subscription = store.subscribe(after.max(first - 1)).await?;
            let messages = stream::unfold((store, subscription), |(store, mut subscription)| async {
                let record = subscription.next().await.ok()?;
                let message = Whole::of(&store, record).await.ok()?;
                Some((message, (store, subscription)))
            });
            Ok(messages
                .filter_map(|message| std::future::ready(recorded(&message)))
                .boxed())
        })
    }

    fn commit(&self, revision: u64) -> BoxFuture<'static, Result<Option<Recorded>, StoreError>> {
        let store = self.clone();
        Box::pin(async move {
            let Some(record) = store.read(revision).await? else {
                return Ok(None);
            };
            Ok(recorded(&Whole::of(&store, record).await?))
        })
    }
}

/// Parts of change sets, and commits that this build cannot read, are passed over. Whoever acts on what is read here
/// sees the gap by the chain.
fn recorded(message: &Whole) -> Option<Recorded> {
    let Whole { record, parts } = message;
    if is_part(record) {
        return None;
    }
    let commit = Commit::from_payloads(&record.payload, parts).ok()?;
    Some(Recorded {
        revision: record.sequence,
        chain: commit.parent.then(&record.payload),
        commit: Arc::new(commit),
    })
}

//! The first commit of a new cluster.

use std::sync::Arc;

use chrono::Utc;
use flexgate_schemas::{Chain, ClusterId, Commit, CommitId, Event, event::HistoryStarted};
use tokio::sync::watch;
use uuid::Uuid;

use super::{Status, View, store::Store, transact::outgoing};

/// Begins a history if the log is empty and this process has never seen one. A process that has seen one stays frozen
/// instead: an empty log is then a loss, not a beginning.
pub(super) async fn begin_history<S: Store>(store: S, mut view: watch::Receiver<Arc<View>>) {
    loop {
        let generation = match view.wait_for(|view| view.status == Status::Following).await {
            Ok(view) => view.generation(),
            Err(_) => return,
        };
        if generation > 0 {
            return;
        }
        let place = (ClusterId::from_uuid(Uuid::new_v4()), 1, Chain::ZERO);
        let event = Event::HistoryStarted(HistoryStarted {
            reason: "first start".to_owned(),
        });
        let commit = Commit::by_system(
            CommitId::from_uuid(Uuid::now_v7()),
            place,
            Utc::now().into(),
            event,
        );
        // Expecting an empty log: of several processes that start together one wins, the others read its genesis.
        if let Err(error) = store.append(&outgoing(&commit), 0).await {
            tracing::debug!(%error, "no genesis written");
        }
        if view.changed().await.is_err() {
            return;
        }
    }
}

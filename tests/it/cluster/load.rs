//! Requests that go on while something is done to whom they are sent.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use tokio::time::timeout;

use crate::{client::Connection, fixtures::PATIENCE};

/// Requests one after the other on one connection, until stopped; whatever is not 200 has failed.
pub struct Load {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<u64>,
}

impl Load {
    pub fn on(addr: SocketAddr, path: &'static str) -> Self {
        let (sent, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stopped) = (sent.clone(), stop.clone());
        #[expect(clippy::disallowed_methods, reason = "joined in stop")]
        let task = tokio::spawn(async move {
            let mut connection = Connection::open(addr).await.unwrap();
            let mut failed = 0;
            while !stopped.load(Ordering::Relaxed) {
                let answer = connection.get(path).await.unwrap();
                failed += u64::from(answer.status != StatusCode::OK);
                count.fetch_add(1, Ordering::Relaxed);
            }
            failed
        });
        Self { sent, stop, task }
    }

    pub async fn has_sent_more(&self, more: u64) {
        let goal = self.sent.load(Ordering::Relaxed) + more;
        let reached = async {
            while self.sent.load(Ordering::Relaxed) < goal {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(PATIENCE, reached).await.is_ok());
    }

    pub async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

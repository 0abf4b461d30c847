//! Load on a gateway, by clients that count what they get.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{client::Connection, fixtures::PATIENCE};

/// How many there are, and requests a second of each.
const CLIENTS: u64 = 4;
const RATE: u64 = 500;
/// Connections are kept, and new ones are made all the time.
const REQUESTS_PER_CONNECTION: u64 = 20;

/// Clients that ask at a steady rate and count what they get.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    broken: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Two thousand requests a second.
    pub fn start(proxy: SocketAddr) -> Self {
        let (stop, answered, broken) = (Arc::default(), Arc::default(), Arc::default());
        let client = |_| {
            let (stop, answered, broken) = (Arc::clone(&stop), Arc::clone(&answered), Arc::clone(&broken));
            #[expect(clippy::disallowed_methods, reason = "joined when the load stops")]
            tokio::spawn(ask(proxy, stop, answered, broken))
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self {
            stop,
            answered,
            broken,
            clients,
        }
    }

    /// Whole answers, of whatever status, and requests that were sent and not answered.
    pub async fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            timeout(PATIENCE, client).await.expect("a client to end").unwrap();
        }
        (
            self.answered.load(Ordering::Relaxed),
            self.broken.load(Ordering::Relaxed),
        )
    }
}

async fn ask(proxy: SocketAddr, stop: Arc<AtomicBool>, answered: Arc<AtomicU64>, broken: Arc<AtomicU64>) {
    let mut clock = interval(Duration::from_micros(1_000_000 / RATE));
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut connection, mut asked) = (None, 0);
    while !stop.load(Ordering::Relaxed) {
        clock.tick().await;
        let Some(open) = &mut connection else {
            connection = Connection::open(proxy).await.ok();
            continue;
        };
        let is_whole = open.get("/orders/17").await.is_ok();
        let count = if is_whole { &answered } else { &broken };
        count.fetch_add(1, Ordering::Relaxed);
        asked += 1;
        if !is_whole || asked % REQUESTS_PER_CONNECTION == 0 {
            connection = None;
        }
    }
}

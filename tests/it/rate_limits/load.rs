//! More requests than any limit lets pass, and what became of each.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::timeout};

use crate::{
    fixtures::{LOOK_AGAIN, PATIENCE},
    wire::Client,
};

/// How many connections each node gets, and the pause between two requests on each.
const CONNECTIONS: usize = 4;
const PAUSE: Duration = Duration::from_millis(8);

/// Requests, until it is stopped.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    /// How many have passed.
    passed: Arc<AtomicUsize>,
    clients: JoinSet<Vec<Sent>>,
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    at: Instant,
    answered: Instant,
    status: u16,
}

/// What was sent, in the order of the answers.
pub(super) struct Passed {
    all: Vec<Sent>,
}

impl Load {
    pub(super) fn on(addresses: &[SocketAddr]) -> Self {
        let (stop, passed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut clients = JoinSet::new();
        for addr in addresses {
            for _ in 0..CONNECTIONS {
                clients.spawn(ask(*addr, Arc::clone(&stop), Arc::clone(&passed)));
            }
        }
        Self {
            stop,
            passed,
            clients,
        }
    }

    /// Waits until so many have passed.
    pub(super) async fn passes(&self, count: usize) {
        let passed = async {
            while self.passed.load(Ordering::Relaxed) < count {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        assert!(timeout(PATIENCE, passed).await.is_ok(), "never {count}");
    }

    pub(super) async fn stop(self) -> Passed {
        self.stop.store(true, Ordering::Relaxed);
        let mut all: Vec<_> = self.clients.join_all().await.into_iter().flatten().collect();
        all.sort_by_key(|sent| sent.answered);
        Passed { all }
    }
}

async fn ask(addr: SocketAddr, stop: Arc<AtomicBool>, passed: Arc<AtomicUsize>) -> Vec<Sent> {
    let mut client = Client::connect(addr).await;
    let mut all = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let at = Instant::now();
        let status = client.get("/r", "").await.status();
        all.push(Sent {
            at,
            answered: Instant::now(),
            status,
        });
        passed.fetch_add(usize::from(status == 200), Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
    all
}

impl Passed {
    pub(super) fn are_only(&self, statuses: &[u16]) {
        let odd = self.all.iter().find(|sent| !statuses.contains(&sent.status));
        assert!(odd.is_none(), "{odd:?}");
    }

    /// Those that passed.
    fn admitted(&self) -> Vec<Sent> {
        let admitted = self.all.iter().filter(|sent| sent.status == 200);
        admitted.copied().collect()
    }

    /// The longest that an answer took: so far may the time of an answer be from that of the decision.
    fn slack(&self) -> Duration {
        let taken = self.all.iter().map(|sent| sent.answered - sent.at);
        taken.max().unwrap_or_default()
    }

    /// In no span of time did more pass than the burst and what the rate lets pass in it.
    pub(super) fn fit_a_bucket(&self, burst: u32, rate: f64) {
        let most = self.most_beyond(rate);
        let slack = rate * self.slack().as_secs_f64();
        assert!(
            most <= f64::from(burst) + slack + 1.0,
            "{most} beyond the rate, {slack} of it uncertain"
        );
    }

    /// By how many, at most, more passed in some span of time than a rate lets pass in it.
    pub(super) fn most_beyond(&self, rate: f64) -> f64 {
        let admitted = self.admitted();
        let Some(first) = admitted.first() else { return 0.0 };
        // A bucket without a bottom says it in one pass: what it lacks most is what the worst span had too many.
        let (mut lacking, mut most, mut before) = (0.0_f64, 0.0_f64, first.answered);
        for sent in &admitted {
            lacking = (lacking - rate * (sent.answered - before).as_secs_f64()).max(0.0) + 1.0;
            (most, before) = (most.max(lacking), sent.answered);
        }
        most
    }

    /// In no span as long as a window did more pass than it has.
    pub(super) fn fit_a_window(&self, max: usize, window: Duration) {
        let (admitted, slack) = (self.admitted(), self.slack());
        for (first, last) in admitted.iter().zip(admitted.iter().skip(max)) {
            let span = last.answered - first.answered;
            assert!(
                span + slack >= window,
                "{} in {span:?}, {slack:?} uncertain",
                max + 1
            );
        }
    }

    /// So much of what may pass did: what was asked for was more.
    pub(super) fn are_at_least(&self, part: f64, burst: u32, rate: f64) {
        let admitted = self.admitted();
        let (Some(first), Some(last)) = (self.all.first(), self.all.last()) else {
            panic!("nothing was sent");
        };
        let may = f64::from(burst) + rate * (last.answered - first.at).as_secs_f64();
        let did = u32::try_from(admitted.len()).map(f64::from).unwrap();
        assert!(did >= part * may, "{did} of {may}, of {} sent", self.all.len());
    }
}

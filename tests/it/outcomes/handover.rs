//! A gateway that is told to end, and its successor: every answer is one outcome on the stream, whichever of them gave it.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use flexgate::{journal::jetstream::Names, outcomes::feed::Feed};
use rustix::process::Signal;
use tempfile::TempDir;

use super::load::Load;
use crate::{
    client,
    fixtures::{self, Nats},
    program::{Settings, listens},
    upstream::Upstream,
};

#[tokio::test]
async fn every_answer_of_three_handovers_is_counted_once() {
    let node = Node::new().await;
    let mut running = node.settings.start();
    node.settings.route_to(&node.upstream.url()).await;
    let load = Load::start(node.settings.proxy);
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(200)).await; // what there is to be counted
        running.signal(Signal::TERM);
        let successor = node.settings.start();
        assert!(running.ended().await.success(), "the old process ends well");
        running = successor;
        listens(node.settings.proxy).await;
    }
    let (answered, _broken) = load.stop().await;
    running.signal(Signal::TERM);
    assert!(running.ended().await.success());
    assert!(answered > 500, "there was hardly any load: {answered}");
    assert_eq!(node.counted().await, answered);
    assert_eq!(node.left_in_the_outbox(), 0);
}

#[tokio::test]
async fn a_gateway_that_has_ended_well_leaves_nothing_in_its_outbox() {
    let node = Node::new().await;
    let mut running = node.settings.start();
    node.settings.route_to(&node.upstream.url()).await;
    for _ in 0..50 {
        assert_eq!(client::get(node.settings.proxy, "/a").await.status, 200);
    }
    running.signal(Signal::TERM);
    assert!(running.ended().await.success());
    assert_eq!(node.left_in_the_outbox(), 0);
    assert_eq!(node.counted().await, 50);
}

/// A gateway's settings, and what outlives its processes.
struct Node {
    settings: Settings,
    feed: Feed,
    upstream: Upstream,
    folder: TempDir,
}

impl Node {
    async fn new() -> Self {
        let nats = Nats::shared_url().await;
        let (prefix, folder) = (fixtures::prefix(), tempfile::tempdir().unwrap());
        let names = Names::new(&prefix).unwrap();
        let link = fixtures::provisioned(nats, &names).await;
        let settings = Settings::new("admin,gateway", folder.path(), (nats, &prefix));
        Self {
            settings: settings.with("FLEXGATE_DRAIN_DELAY", "300ms"),
            feed: Feed::new(link, &names),
            upstream: Upstream::replying(200).start().await,
            folder,
        }
    }

    /// How many outcomes are on the stream. None is there twice.
    async fn counted(&self) -> u64 {
        let messages = self.feed.listed().await.unwrap();
        let runs = messages.into_iter().map(|message| message.run.unwrap());
        let mut counters = BTreeSet::new();
        for (source, run) in runs {
            for counter in run {
                assert!(
                    counters.insert((source.clone(), counter)),
                    "{source:?} {counter} is doubled"
                );
            }
        }
        counters.len() as u64
    }

    fn left_in_the_outbox(&self) -> usize {
        let outbox: &Path = &self.folder.path().join("outbox");
        fs::read_dir(outbox).unwrap().count()
    }
}

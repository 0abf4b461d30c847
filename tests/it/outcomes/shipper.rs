//! Outcomes come from the outbox to the stream, all of them and each once, whatever happens to the server.

use std::{fs, path::Path, time::Duration};

use flexgate::{
    drain::Tasks,
    journal::{
        alerts::{self, Alerts},
        jetstream::{Link, Names},
    },
    outcomes::{
        feed::Feed,
        outbox::{Kept, Options, Outbox, Writer},
        shipper::Shipper,
    },
};
use flexgate_schemas::{
    NodeId, Outcome,
    frame::{Delivered, Opened},
};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::frames::plain;
use crate::fixtures::{self, LOOK_AGAIN, Nats, PATIENCE};

#[tokio::test]
async fn every_outcome_comes_to_the_stream_in_order() {
    let node = Node::new(Nats::shared_url().await).await;
    let outbox = node.outbox("b1");
    let shipping = node.ship(&outbox);
    let mut writer = outbox.writer(0).unwrap();
    append(&mut writer, 0..30_000); // two files and some
    node.shipped(&outbox).await;
    append(&mut writer, 30_000..30_100);
    node.shipped(&outbox).await;
    assert_eq!(node.counters().await, numbered(30_100));
    shipping.stop().await;
}

#[tokio::test]
async fn frames_are_small_enough_and_as_full_as_they_can_be() {
    let node = Node::new(Nats::shared_url().await).await;
    let outbox = node.outbox("b1");
    let mut writer = outbox.writer(0).unwrap();
    let noise = |number: u64| format!("/{:x}/{:x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number);
    for number in 0..10_000 {
        let path = noise(number).repeat(5);
        writer.append(
            &Outcome {
                path: &path,
                ..plain()
            },
            Kept::Row,
        );
    }
    let shipping = node.ship(&outbox);
    node.shipped(&outbox).await;
    let sizes: Vec<_> = node
        .messages()
        .await
        .iter()
        .map(|message| message.message.payload.len())
        .collect();
    assert!(sizes.iter().all(|size| *size <= 64 << 10), "{sizes:?}");
    assert!(sizes.iter().sum::<usize>() / sizes.len() > 20 << 10, "{sizes:?}");
    assert_eq!(node.counters().await, numbered(10_000));
    shipping.stop().await;
}

#[tokio::test]
async fn a_server_that_dies_loses_and_doubles_nothing() {
    let mut nats = Nats::start().await;
    let node = Node::new(nats.server.url()).await;
    let outbox = node.outbox("b1");
    let shipping = node.ship(&outbox);
    let mut writer = outbox.writer(0).unwrap();
    append(&mut writer, 0..5000);
    for round in 1..4 {
        nats.server.kill9();
        append(&mut writer, round * 5000..round * 5000 + 2500);
        nats.server.restart().await.unwrap();
        append(&mut writer, round * 5000 + 2500..(round + 1) * 5000);
    }
    node.shipped(&outbox).await;
    assert_eq!(node.sorted_counters().await, numbered(20_000));
    shipping.stop().await;
}

#[tokio::test]
async fn what_is_left_at_the_end_is_shipped_by_the_next_start() {
    let mut nats = Nats::start().await;
    let node = Node::new(nats.server.url()).await;
    nats.server.kill9();
    let first = node.outbox("b1");
    let shipping = node.ship(&first);
    append(&mut first.writer(0).unwrap(), 0..25_000);
    shipping.stop().await;
    first.close();
    drop(first);
    nats.server.restart().await.unwrap();
    let second = node.outbox("b2");
    let shipping = node.ship(&second);
    node.shipped(&second).await;
    assert_eq!(node.sorted_counters().await, numbered(25_000));
    shipping.stop().await;
    second.close();
    assert!(
        fs::read_dir(node.folder.path()).unwrap().next().is_none(),
        "nothing is left behind"
    );
}

#[tokio::test]
async fn frames_that_were_sent_before_a_crash_are_cut_alike_after_it() {
    let node = Node::new(Nats::shared_url().await).await;
    let outbox = node.outbox("b1");
    let mut writer = outbox.writer(0).unwrap();
    for number in 0..6000 {
        let kept = if number % 3 == 0 { Kept::Row } else { Kept::Counted };
        writer.append(&outcome(number), kept);
    }
    drop(writer);
    // The same bytes under another name: what is noted while shipping is in both.
    let file = node.folder.path().join("b1-0-0.seg");
    let kept = node.folder.path().join("kept");
    fs::hard_link(&file, &kept).unwrap();
    let shipping = node.ship(&outbox);
    node.shipped(&outbox).await;
    shipping.stop().await;
    outbox.close();
    drop(outbox);
    let messages = node.messages().await;
    assert!(messages.len() > 1);

    // As if the process had died before it saw an acknowledgement.
    fs::rename(&kept, &file).unwrap();
    let outbox = node.outbox("b2");
    append(&mut outbox.writer(0).unwrap(), 0..1);
    let shipping = node.ship(&outbox);
    node.shipped(&outbox).await;
    shipping.stop().await;
    let again = node.messages().await;
    assert_eq!(again[..messages.len()], messages[..]);
    assert_eq!(
        again.len(),
        messages.len() + 1,
        "the server knew all of them but the new one"
    );
}

#[tokio::test]
async fn outcomes_without_a_row_are_summed_up() {
    let node = Node::new(Nats::shared_url().await).await;
    let outbox = node.outbox("b1");
    let mut writer = outbox.writer(0).unwrap();
    for number in 0..100 {
        let kept = if number % 10 == 0 {
            Kept::Row
        } else {
            Kept::Counted
        };
        writer.append(&outcome(number), kept);
    }
    let shipping = node.ship(&outbox);
    node.shipped(&outbox).await;
    let (mut rows, mut summed, mut bytes) = (0, 0, 0);
    for message in node.messages().await {
        let opened = Opened::new(&message.message).unwrap();
        let frame = opened.read().unwrap();
        rows += frame.row_count();
        summed += frame
            .left_out()
            .iter()
            .map(|group| group.latency.count())
            .sum::<u64>();
        bytes += frame.left_out().iter().map(|group| group.bytes_out).sum::<u64>();
    }
    assert_eq!((rows, summed, bytes), (10, 90, 90 * 2000));
    shipping.stop().await;
}

#[tokio::test]
async fn an_outbox_that_overflows_raises_one_alert() {
    const RECORDED: u64 = 600_000; // half more than there is room for
    let mut nats = Nats::start().await;
    let node = Node::new(nats.server.url()).await;
    let stream = node.names.alerts();
    nats.server.kill9();
    let outbox = node.outbox("b1");
    let shipping = node.ship(&outbox);
    let mut writer = outbox.writer(0).unwrap();
    append(&mut writer, 0..RECORDED);
    assert!(outbox.depth().lost > 0);
    nats.server.restart().await.unwrap();
    node.shipped(&outbox).await;
    // Now for good: while it is full, the keeper lets the oldest file go at any moment that the shipper is not at.
    let lost = outbox.depth().lost;
    let counters = node.sorted_counters().await;
    assert!(counters.is_sorted_by(|a, b| a < b), "each once");
    assert_eq!(counters.len() as u64 + lost, RECORDED, "the gap shows");
    assert_eq!(counters.last(), Some(&(RECORDED - 1)), "the newest stay");
    let alerts = async {
        loop {
            let jetstream = node.link.jetstream();
            let messages = jetstream
                .get_stream(&stream)
                .await
                .unwrap()
                .cached_info()
                .state
                .messages;
            if messages > 0 {
                return messages;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    assert_eq!(timeout(PATIENCE, alerts).await.unwrap(), 1);
    shipping.stop().await;
}

/// What it calls itself is another thing each time, so that files fill up.
fn outcome(number: u64) -> Outcome<'static> {
    let user_agents = [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile",
    ];
    Outcome {
        micros: number,
        user_agent: Some(user_agents[usize::from(number.is_multiple_of(2))]),
        ..plain()
    }
}

fn append(writer: &mut Writer, numbers: std::ops::Range<u64>) {
    for number in numbers {
        writer.append(&outcome(number), Kept::Row);
    }
}

fn numbered(count: u64) -> Vec<u64> {
    (0..count).collect()
}

/// A node's folder, and its streams.
struct Node {
    link: Link,
    names: Names,
    id: NodeId,
    folder: tempfile::TempDir,
}

impl Node {
    async fn new(server: &str) -> Self {
        let names = fixtures::names();
        Self {
            link: fixtures::provisioned(server, &names).await,
            names,
            id: "node-a".parse().unwrap(),
            folder: tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap(),
        }
    }

    fn outbox(&self, boot: &str) -> Outbox {
        Outbox::open(Options {
            folder: self.folder.path().to_owned(),
            node: self.id.clone(),
            boot: boot.parse().unwrap(),
            cores: 1,
            bytes_max: 32 << 20,
        })
        .unwrap()
    }

    fn ship(&self, outbox: &Outbox) -> Shipping {
        let tasks = Tasks::new();
        let (alerts, raised) = Alerts::channel(self.id.clone());
        tasks.spawn(alerts::publish(
            self.link.clone(),
            self.names.clone(),
            raised,
            tasks.clone(),
        ));
        let shipper = Shipper::new(outbox.clone(), (self.link.clone(), &self.names), &self.id, alerts);
        let told = tasks.clone();
        tasks.spawn(async move { shipper.run(told).await.finish(Duration::from_secs(5)).await });
        Shipping(tasks)
    }

    /// Waits until nothing is left to be shipped.
    async fn shipped(&self, outbox: &Outbox) {
        let shipped = async {
            while outbox.depth().outcomes > 0 {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        assert!(timeout(PATIENCE, shipped).await.is_ok(), "{:?}", outbox.depth());
    }

    async fn messages(&self) -> Vec<Delivered> {
        let feed = Feed::new(self.link.clone(), &self.names);
        let count = feed.extent().await.unwrap().waiting(0);
        let messages = feed.after(0).await.unwrap();
        messages.take(usize::try_from(count).unwrap()).collect().await
    }

    /// The counters on the stream, as they lie there.
    async fn counters(&self) -> Vec<u64> {
        let mut counters = Vec::new();
        for message in self.messages().await {
            let opened = Opened::new(&message.message).unwrap();
            let frame = opened.read().unwrap();
            for row in frame.rows() {
                counters.push(row.counter);
            }
        }
        counters
    }

    /// The counters on a stream whose server was gone: one that has just come back may refuse a frame and take the next.
    async fn sorted_counters(&self) -> Vec<u64> {
        let mut counters = self.counters().await;
        counters.sort_unstable();
        counters
    }
}

struct Shipping(Tasks);

impl Shipping {
    async fn stop(self) {
        assert!(self.0.stop(PATIENCE).await);
    }
}

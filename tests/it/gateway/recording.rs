//! What is recorded of requests: from a client's socket to the files of the outbox.

mod endings;
mod outcomes;
mod privacy;
mod sampling;

use std::{fs, ops::Deref, path::Path};

use flexgate::{
    gateway::Options,
    journal::{alerts::Alerts, jetstream::Names},
    outcomes::{
        feed::Feed,
        outbox::{self, Outbox},
        shipper::Shipper,
    },
};
use flexgate_schemas::{Event, NodeId, Outcome, frame::Opened, outcome::LeftOut};
use futures_util::StreamExt as _;
use tempfile::TempDir;
use uuid::Uuid;

use super::{Node, options};
use crate::fixtures::{self, Nats, PATIENCE};

/// A gateway that records.
pub(super) struct Recording {
    node: Node,
    outbox: Outbox,
    folder: TempDir,
}

/// What it recorded.
pub(super) struct Recorded {
    pub(super) rows: Vec<Row>,
    /// What is counted of the requests without a row.
    left_out: Vec<LeftOut>,
    /// Every byte of the files.
    pub(super) files: Vec<u8>,
}

/// One request.
pub(super) struct Row {
    /// As whoever reads the frame works it out.
    id: Uuid,
    pub(super) outcome: Outcome<'static>,
}

impl Recording {
    /// With these events, by a gateway with one core.
    pub(super) fn of(events: &[Event]) -> Self {
        Self::with(options(), events)
    }

    fn with(mut options: Options, events: &[Event]) -> Self {
        let folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        let outbox = Outbox::open(outbox::Options {
            folder: folder.path().to_owned(),
            node: node(),
            boot: "boot-1".parse().unwrap(),
            cores: 1,
            bytes_max: 32 << 20,
        });
        let outbox = outbox.unwrap();
        options.outbox = Some(outbox.clone());
        Self {
            node: Node::start_with(options, events),
            outbox,
            folder,
        }
    }

    /// Ends the gateway, ships what it recorded and reads it from the stream.
    pub(super) async fn over(self) -> Recorded {
        self.node.gateway.drain().await;
        let paths = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let files = paths.flat_map(|path| fs::read(path).unwrap()).collect();
        let mut recorded = Recorded {
            rows: Vec::new(),
            left_out: Vec::new(),
            files,
        };
        for frame in shipped(self.outbox).await {
            let frame = Box::leak(Box::new(frame)).read().unwrap();
            let frame = Box::leak(Box::new(frame)); // rows borrow from it, and a test is soon over
            recorded.left_out.extend_from_slice(frame.left_out());
            recorded.rows.extend(frame.rows().map(|outcome| Row {
                id: frame.id(&outcome),
                outcome,
            }));
        }
        recorded
    }
}

async fn shipped(outbox: Outbox) -> Vec<Opened> {
    let names: Names = fixtures::names();
    let link = fixtures::provisioned(Nats::shared_url().await, &names).await;
    let (alerts, _raised) = Alerts::channel(node());
    let shipper = Shipper::new(outbox.clone(), (link.clone(), &names), &node(), alerts);
    shipper.finish(PATIENCE).await;
    assert_eq!(outbox.depth().outcomes, 0);
    outbox.close();
    let feed = Feed::new(link, &names);
    let count = feed.extent().await.unwrap().waiting(0);
    let messages = feed.after(0).await.unwrap().take(usize::try_from(count).unwrap());
    messages
        .map(|message| Opened::new(&message.message).unwrap())
        .collect()
        .await
}

fn node() -> NodeId {
    "node-1".parse().unwrap()
}

impl Recorded {
    pub(super) fn files_have(&self, text: &str) -> bool {
        self.files
            .windows(text.len())
            .any(|bytes| bytes == text.as_bytes())
    }
}

impl Deref for Recording {
    type Target = Node;
    fn deref(&self) -> &Node {
        &self.node
    }
}

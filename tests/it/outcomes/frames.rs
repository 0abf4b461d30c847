//! Frames as a gateway ships them, made by hand.

use async_nats::HeaderMap;
use chrono::Utc;
use flexgate::journal::jetstream::{Link, Names};
use flexgate_schemas::{
    IdKey, Outcome,
    frame::{Delivered, Draft, Sealed, Source, Writer},
};

/// A core whose outcomes are sealed into frames.
#[derive(Clone)]
pub struct Core {
    source: Source,
    next: u64,
}

impl Core {
    /// The first core of a start of the node `node-a`.
    pub fn of_boot(boot: &str) -> Self {
        Self {
            source: Source {
                node: "node-a".parse().unwrap(),
                boot: boot.parse().unwrap(),
                core: 0,
            },
            next: 0,
        }
    }

    /// The next outcomes of this core, numbered.
    pub fn numbered(&mut self, outcomes: &[Outcome<'static>]) -> Vec<Outcome<'static>> {
        let numbered = outcomes.iter().map(|outcome| {
            self.next += 1;
            Outcome {
                counter: self.next - 1,
                arrival: self.next - 1,
                ..*outcome
            }
        });
        numbered.collect()
    }

    /// A frame of numbered outcomes that are all there.
    pub fn seal(&self, outcomes: &[Outcome<'_>]) -> Sealed {
        self.seal_sample(outcomes, outcomes.len())
    }

    /// The same, but only so many of them have a row.
    pub fn seal_sample(&self, outcomes: &[Outcome<'_>], rows: usize) -> Sealed {
        let mut draft = Draft::new(outcomes[0].counter);
        outcomes[..rows].iter().for_each(|row| draft.add(row));
        outcomes[rows..].iter().for_each(|other| draft.leave_out(other));
        let sealed = Writer::new()
            .unwrap()
            .seal(self.source.clone(), IdKey::new(7), draft);
        sealed.unwrap().unwrap()
    }
}

/// An ordinary outcome of this moment.
pub fn plain() -> Outcome<'static> {
    Outcome {
        at: now(),
        generation: 1,
        revision: 2,
        route: Some("users"),
        upstream: Some("api"),
        target: Some("10.0.0.1:80"),
        method: "GET",
        host: Some("shop.test"),
        path: "/users/1",
        status: Some(200),
        attempts: 1,
        micros: 1500,
        upstream_micros: Some(1200),
        bytes_in: 10,
        bytes_out: 2000,
        client: Some("10.9.8.7"),
        user_agent: Some("curl/8"),
        ..Outcome::default()
    }
}

/// Microseconds since 1970.
pub fn now() -> i64 {
    Utc::now().timestamp_micros()
}

/// Messages as they lie in a stream, stored just now.
pub fn delivered(messages: Vec<Sealed>) -> Vec<Delivered> {
    let each = (1..).zip(messages).map(|(sequence, message)| Delivered {
        sequence,
        stored_at: Utc::now().into(),
        message,
    });
    each.collect()
}

/// A frame of so many ordinary outcomes, the next of their core.
pub fn frame(core: &mut Core, count: usize) -> Sealed {
    let outcomes = core.numbered(&vec![plain(); count]);
    core.seal(&outcomes)
}

/// Puts a frame on the stream, as the gateway that it is from would.
pub async fn publish(link: &Link, names: &Names, frame: Sealed) {
    let mut headers = HeaderMap::new();
    for (name, value) in &frame.headers {
        headers.insert(&**name, &**value);
    }
    let subject = names.outcome_subject("node-a");
    let jetstream = link.jetstream();
    let ack = jetstream
        .publish_with_headers(subject, headers, frame.payload.into())
        .await;
    ack.unwrap().await.unwrap();
}

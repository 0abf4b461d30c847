//! How the outbox of a node is doing, in words for who looks at its health. Pure.

use std::fmt;

use flexgate_schemas::Timestamp;

use super::outbox::Depth;

/// How an outbox is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition {
    /// What waits in it.
    pub depth: Depth,
    /// Whether outcomes are being lost.
    pub loses: bool,
    /// Why the stream does not get what waits; `None` if it does.
    pub stuck: Option<Stuck>,
}

/// Why the stream gets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// What is in the way. Shown without a token: nothing secret may be in here.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

impl Condition {
    /// What is wrong, for people; `None` if nothing is.
    pub fn trouble(&self) -> Option<String> {
        let troubles = [self.losses(), self.stuck.as_ref().map(|stuck| self.waits(stuck))];
        let troubles: Vec<_> = troubles.into_iter().flatten().collect();
        (!troubles.is_empty()).then(|| troubles.join("; "))
    }

    fn losses(&self) -> Option<String> {
        let lost = self.depth.lost;
        let place = if self.depth.is_nearly_full() {
            format!("the outbox is full, with {}", self.size())
        } else {
            "the disk has no room for the outbox".to_owned()
        };
        match (self.loses, self.depth.no_room) {
            (true, _) => Some(format!("{place}: outcomes are being lost, {lost} so far")),
            (false, true) => Some(format!("{place}: the next outcomes will be lost")),
            (false, false) => None,
        }
    }

    fn waits(&self, Stuck { reason, since }: &Stuck) -> String {
        let (waiting, size) = (self.depth.outcomes, self.size());
        format!("{reason}: {waiting} outcomes wait in {size}, since {since}")
    }

    fn size(&self) -> impl fmt::Display {
        let mebibytes = |bytes: u64| bytes >> 20;
        let (bytes, bytes_max) = (mebibytes(self.depth.bytes), mebibytes(self.depth.bytes_max));
        format!("{bytes} of {bytes_max} MiB")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(condition: &Condition, expected: Option<&str>) {
        assert_eq!(condition.trouble().as_deref(), expected);
    }

    #[test]
    fn what_is_wrong_is_said_and_how_much_it_concerns() {
        let depth = Depth {
            outcomes: 120,
            bytes: 4 << 20,
            bytes_max: 1024 << 20,
            ..Depth::default()
        };
        let well = Condition {
            depth,
            ..Condition::default()
        };
        check(&well, None);
        let stuck = Condition {
            stuck: Some(Stuck {
                reason: "not connected to NATS".to_owned(),
                since: Timestamp::default(),
            }),
            ..well.clone()
        };
        let waits =
            "not connected to NATS: 120 outcomes wait in 4 of 1024 MiB, since 1970-01-01T00:00:00.000Z";
        check(&stuck, Some(waits));
        let no_room = Condition {
            depth: Depth {
                no_room: true,
                lost: 7,
                ..depth
            },
            ..well
        };
        let warns = "the disk has no room for the outbox: the next outcomes will be lost";
        check(&no_room, Some(warns));
        let loses = Condition {
            loses: true,
            ..no_room
        };
        let lost = "the disk has no room for the outbox: outcomes are being lost, 7 so far";
        check(&loses, Some(lost));
        let full = Condition {
            depth: Depth {
                bytes: 1024 << 20,
                lost: 7,
                ..depth
            },
            loses: true,
            ..stuck
        };
        let both = "the outbox is full, with 1024 of 1024 MiB: outcomes are being lost, 7 so far; \
            not connected to NATS: 120 outcomes wait in 1024 of 1024 MiB, since 1970-01-01T00:00:00.000Z";
        check(&full, Some(both));
    }
}

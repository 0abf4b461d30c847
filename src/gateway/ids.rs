//! Identifiers for requests and traces, made on the core that needs them.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant, SystemTime},
};

use http::HeaderValue;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use uuid::{
    Builder, Uuid,
    fmt::{Hyphenated, Simple},
};

/// Makes identifiers that are unique, not secret: a fast generator per core, seeded from the operating system.
#[derive(Debug)]
pub(super) struct Ids {
    random: RefCell<SmallRng>,
    /// One moment on both clocks, so that a request needs only the monotonic one.
    anchor: Cell<(Instant, Duration)>,
}

impl Ids {
    /// A generator of its own.
    pub(super) fn new() -> Self {
        Self {
            random: RefCell::new(SmallRng::from_rng(&mut rand::rng())),
            anchor: Cell::new(moment()),
        }
    }

    /// Follows what became of the wall clock meanwhile. Called every tick.
    pub(super) fn set_clock(&self) {
        self.anchor.set(moment());
    }

    /// A correlation id: a UUID of version 7 (RFC 9562 5.7), so that ids sort by time.
    pub(super) fn correlation(&self, now: Instant) -> HeaderValue {
        let (then, since_epoch) = self.anchor.get();
        let millis = (since_epoch + now.saturating_duration_since(then)).as_millis();
        let mut random = [0; 10];
        self.random.borrow_mut().fill_bytes(&mut random);
        let id = Builder::from_unix_timestamp_millis(u64::try_from(millis).unwrap_or(u64::MAX), &random);
        let mut text = [0; Hyphenated::LENGTH];
        visible(id.into_uuid().hyphenated().encode_lower(&mut text).as_bytes())
    }

    /// The `traceparent` of a trace that begins here (W3C Trace Context, version 00). Marked as sampled: this request is
    /// recorded, and an unset flag would switch the tracing of every service behind the gateway off.
    pub(super) fn traceparent(&self) -> HeaderValue {
        let mut random = self.random.borrow_mut();
        // Neither id may be all zeros.
        let trace = Uuid::from_u64_pair(random.next_u64(), random.next_u64() | 1);
        let span = Uuid::from_u64_pair(random.next_u64() | 1, 0);
        let mut text = *b"00-................................-................-01";
        trace.simple().encode_lower(&mut text[3..35]);
        let mut digits = [0; Simple::LENGTH];
        text[36..52].copy_from_slice(&span.simple().encode_lower(&mut digits).as_bytes()[..16]);
        visible(&text)
    }
}

fn moment() -> (Instant, Duration) {
    (
        Instant::now(),
        SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
    )
}

fn visible(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).expect("hexadecimal digits and dashes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correlation_id_is_a_uuid_of_version_7_with_the_time_of_the_request() {
        let ids = Ids::new();
        let text = ids.correlation(Instant::now());
        let id: Uuid = text.to_str().unwrap().parse().unwrap();
        assert_eq!(id.get_version_num(), 7);
        let (seconds, _) = id.get_timestamp().unwrap().to_unix();
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        assert!(seconds.abs_diff(now) <= 1);
        assert_ne!(text, ids.correlation(Instant::now()));
    }

    #[test]
    fn a_traceparent_has_the_form_of_version_00() {
        let text = Ids::new().traceparent();
        let fields: Vec<_> = text.to_str().unwrap().split('-').collect();
        assert_eq!(
            fields.iter().map(|field| field.len()).collect::<Vec<_>>(),
            [2, 32, 16, 2]
        );
        assert_eq!((fields[0], fields[3]), ("00", "01"));
    }
}

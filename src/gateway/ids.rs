//! The identity of requests and traces, made on the core that needs them.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant, SystemTime},
};

use flexgate_schemas::IdKey;
use http::HeaderValue;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use uuid::{
    Uuid,
    fmt::{Hyphenated, Simple},
};

/// Counts the arrivals of a core, and makes their ids: unique, not secret.
#[derive(Debug)]
pub(super) struct Ids {
    key: IdKey,
    core: u16,
    arrivals: Cell<u64>,
    /// For spans. A fast generator, seeded from the operating system.
    random: RefCell<SmallRng>,
    /// One moment on both clocks, so that a request needs only the monotonic one.
    anchor: Cell<(Instant, Duration)>,
}

/// The arrival of a request on a core: its number and its time, of which its id is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// When, by the clock that never jumps.
    pub(super) moment: Instant,
    /// How many came before it.
    pub(super) number: u64,
    /// When, in microseconds since 1970.
    pub(super) at: i64,
    /// Whoever has number, time and key can work it out.
    pub(super) id: Uuid,
}

impl Ids {
    /// Those of a core, made with the key of this boot.
    pub(super) fn new(key: IdKey, core: u16) -> Self {
        Self {
            key,
            core,
            arrivals: Cell::new(0),
            random: RefCell::new(SmallRng::from_rng(&mut rand::rng())),
            anchor: Cell::new(moment()),
        }
    }

    /// Follows what became of the wall clock meanwhile. Called every tick.
    pub(super) fn set_clock(&self) {
        self.anchor.set(moment());
    }

    /// A request arrives.
    pub(super) fn arrival(&self, now: Instant) -> Arrival {
        let number = self.arrivals.get();
        self.arrivals.set(number + 1);
        let (then, since_epoch) = self.anchor.get();
        let micros = (since_epoch + now.saturating_duration_since(then)).as_micros();
        let at = u64::try_from(micros).unwrap_or_default(); // enough for half a million years
        Arrival {
            moment: now,
            number,
            at: at.cast_signed(),
            id: self.key.id(self.core, number, at / 1000),
        }
    }

    /// The `traceparent` of a trace that begins with a request (W3C Trace Context, version 00), whose id it has. Marked as
    /// sampled: this request is recorded, and an unset flag would switch the tracing of every service behind the gateway
    /// off.
    pub(super) fn traceparent(&self, arrival: &Arrival) -> HeaderValue {
        // Neither id may be all zeros; that of the request has a version in it.
        let span = Uuid::from_u64_pair(self.random.borrow_mut().next_u64() | 1, 0);
        let mut text = *b"00-................................-................-01";
        arrival.id.simple().encode_lower(&mut text[3..35]);
        let mut digits = [0; Simple::LENGTH];
        text[36..52].copy_from_slice(&span.simple().encode_lower(&mut digits).as_bytes()[..16]);
        visible(&text)
    }
}

impl Arrival {
    /// The correlation id of a request whose client gave none: its id.
    pub(super) fn correlation(&self) -> HeaderValue {
        let mut text = [0; Hyphenated::LENGTH];
        visible(self.id.hyphenated().encode_lower(&mut text).as_bytes())
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

    fn ids() -> Ids {
        Ids::new(IdKey::new(7), 3)
    }

    #[test]
    fn a_correlation_id_is_a_uuid_of_version_7_with_the_time_of_the_request() {
        let ids = ids();
        let arrival = ids.arrival(Instant::now());
        let id: Uuid = arrival.correlation().to_str().unwrap().parse().unwrap();
        assert_eq!(id.get_version_num(), 7);
        let (seconds, _) = id.get_timestamp().unwrap().to_unix();
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        assert!(seconds.abs_diff(now) <= 1);
        assert_ne!(arrival.correlation(), ids.arrival(Instant::now()).correlation());
    }

    #[test]
    fn an_id_can_be_worked_out_from_what_is_recorded() {
        let ids = ids();
        for number in 0..1000 {
            let arrival = ids.arrival(Instant::now());
            assert_eq!(arrival.number, number);
            let millis = arrival.at.div_euclid(1000).cast_unsigned();
            assert_eq!(arrival.id, IdKey::new(7).id(3, number, millis));
        }
    }

    #[test]
    fn a_traceparent_has_the_form_of_version_00_and_the_id_of_the_request() {
        let ids = ids();
        let arrival = ids.arrival(Instant::now());
        let text = ids.traceparent(&arrival);
        let fields: Vec<_> = text.to_str().unwrap().split('-').collect();
        assert_eq!(
            fields.iter().map(|field| field.len()).collect::<Vec<_>>(),
            [2, 32, 16, 2]
        );
        assert_eq!((fields[0], fields[3]), ("00", "01"));
        assert_eq!(fields[1], arrival.id.simple().to_string());
    }
}

use flexgate_schemas::Outcome;
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;
use crate::outcomes::outbox::Kept;

/// The records of outcomes that follow each other.
fn encoded(outcomes: &[(Outcome<'_>, Kept)]) -> Vec<Vec<u8>> {
    let mut room: Box<[u8; BYTES_MAX]> = vec![0xaa; BYTES_MAX].try_into().unwrap();
    let mut encoder = Encoder::default();
    let record = |(outcome, kept): &(_, _)| {
        let length = encoder.encode(outcome, *kept, &mut room);
        room[..length].to_vec()
    };
    outcomes.iter().map(record).collect()
}

fn alone(outcome: &Outcome<'_>) -> Vec<u8> {
    encoded(&[(*outcome, Kept::Row)]).remove(0)
}

fn ordinary() -> Outcome<'static> {
    Outcome {
        arrival: 1_234_567,
        at: 1_800_000_000_000_000,
        generation: 1,
        revision: 412,
        route: Some("0199b0c2-7d11-7a53-b0c9-3a2f1b6f8e10"),
        upstream: Some("orders"),
        target: Some("10.0.12.134:8080"),
        method: "GET",
        host: Some("api.example.internal"),
        path: "/users/48151623/orders",
        status: Some(200),
        attempts: 1,
        micros: 1830,
        upstream_micros: Some(1790),
        bytes_out: 2311,
        client: Some("10.1.2.3"),
        user_agent: Some("okhttp/4.12.0"),
        ..Outcome::default()
    }
}

#[test]
fn an_ordinary_outcome_takes_less_than_190_bytes_and_less_than_40_after_one_of_its_kind() {
    let next = Outcome {
        arrival: 1_234_570,
        at: 1_800_000_000_000_310,
        path: "/users/16234815/orders",
        bytes_out: 2301,
        ..ordinary()
    };
    let records = encoded(&[(ordinary(), Kept::Row), (next, Kept::Row)]);
    let lengths = [records[0].len(), records[1].len()];
    assert!(lengths[0] < 190 && lengths[1] < 40, "{lengths:?}");
}

#[test]
fn one_record_in_64_can_be_read_without_those_before() {
    let records = encoded(&vec![(ordinary(), Kept::Row); 200]);
    let whole = (0..200).filter(|place| is_whole(&records[*place]));
    assert_eq!(whole.collect::<Vec<_>>(), [0, 64, 128, 192]);
    let mut decoder = Decoder::default();
    assert_eq!(decoder.decode(63, &records[63]), None, "there is nothing before");
    assert_eq!(decoder.decode(0, &records[64]), Some((&ordinary(), Kept::Row)));
}

#[test]
fn a_record_after_one_that_is_broken_is_not_read() {
    let mut records = encoded(&[(ordinary(), Kept::Row); 3]);
    records[1].push(b'x');
    let mut decoder = Decoder::default();
    let read = records.iter().map(|record| decoder.decode(0, record).is_some());
    assert_eq!(read.collect::<Vec<_>>(), [true, false, false]);
}

#[test]
fn an_encoder_that_begins_a_file_leans_on_nothing() {
    let mut room: Box<[u8; BYTES_MAX]> = vec![0; BYTES_MAX].try_into().unwrap();
    let mut encoder = Encoder::default();
    encoder.encode(&ordinary(), Kept::Row, &mut room);
    encoder.begin();
    let length = encoder.encode(&ordinary(), Kept::Row, &mut room);
    assert_eq!(room[..length], alone(&ordinary()));
}

#[test]
fn texts_that_are_too_long_are_cut_between_two_characters() {
    let long = "\u{e9}".repeat(5000);
    let outcome = Outcome {
        method: &long,
        path: &long,
        query: Some(&long),
        user_agent: Some(&long),
        matched: Some(&long),
        ..Outcome::default()
    };
    let bytes = alone(&outcome);
    let mut decoder = Decoder::default();
    let (read, _) = decoder.decode(0, &bytes).unwrap();
    let lengths = [
        read.method,
        read.path,
        read.query.unwrap(),
        read.user_agent.unwrap(),
    ]
    .map(str::len);
    assert_eq!(lengths, [512, 4096, 4096, 512]);
    let odd = format!("x{long}");
    assert_eq!(cut(&odd, SHORT_BYTES_MAX).len(), 511);
    assert_eq!(read.matched, None, "half of a JSON object says nothing");
}

#[test]
fn the_longest_outcome_has_room() {
    let long = "x".repeat(LONG_BYTES_MAX);
    let mut outcome = Outcome {
        arrival: 1 << 63,
        at: i64::MIN,
        generation: u64::MAX,
        revision: u64::MAX,
        status: Some(u16::MAX),
        attempts: u32::MAX,
        micros: u64::MAX,
        upstream_micros: Some(u64::MAX),
        bytes_in: u64::MAX,
        bytes_out: u64::MAX,
        ..Outcome::default()
    };
    for place in 0..TEXTS {
        set_text(&mut outcome, place, Some(&long)).unwrap();
    }
    let bytes = alone(&outcome);
    assert!(Decoder::default().decode(0, &bytes).is_some() && bytes.len() <= BYTES_MAX);
}

/// What an outcome is made of. Few values, so that one is often as the one before.
#[derive(Debug, Clone)]
struct Parts {
    numbers: [u64; 4],
    at: i64,
    status: Option<u16>,
    attempts: u32,
    durations: (u64, Option<u64>),
    texts: Vec<Option<&'static str>>,
    kept: Kept,
}

fn parts() -> impl Strategy<Value = Parts> {
    let number = || prop_oneof![Just(0), Just(127), Just(128), Just(1 << 63), any::<u64>()];
    let text = select(vec!["", "a", "/users/1", "h\u{e9}\u{1f600}", "\u{0}"]);
    let kept = any::<bool>().prop_map(|kept| if kept { Kept::Row } else { Kept::Counted });
    let texts = vec(option::of(text), TEXTS);
    let durations = (number(), option::of(number()));
    let numbers = [number(), number(), number(), number()];
    let status = option::of(prop_oneof![Just(200), any::<u16>()]);
    (numbers, any::<i64>(), status, 0..3_u32, durations, texts, kept).prop_map(
        |(numbers, at, status, attempts, durations, texts, kept)| Parts {
            numbers,
            at,
            status,
            attempts,
            durations,
            texts,
            kept,
        },
    )
}

fn outcome(counter: u64, parts: &Parts) -> (Outcome<'static>, Kept) {
    let [arrival, generation, revision, bytes] = parts.numbers;
    let mut outcome = Outcome {
        counter,
        arrival,
        at: parts.at,
        generation,
        revision,
        status: parts.status,
        attempts: parts.attempts,
        micros: parts.durations.0,
        upstream_micros: parts.durations.1,
        bytes_in: bytes,
        bytes_out: arrival,
        ..Outcome::default()
    };
    for (place, text) in parts.texts.iter().enumerate() {
        let is_needed = set_text(&mut outcome, place, *text).is_none();
        if is_needed {
            set_text(&mut outcome, place, Some("GET")).unwrap();
        }
    }
    (outcome, parts.kept)
}

proptest! {
    #[test]
    fn what_is_written_is_read(first in 0..u64::MAX / 2, parts in vec(parts(), 1..150)) {
        let outcomes: Vec<_> = (first..).zip(&parts).map(|(counter, parts)| outcome(counter, parts)).collect();
        let records = encoded(&outcomes);
        let mut decoder = Decoder::default();
        for ((outcome, kept), record) in outcomes.iter().zip(&records) {
            prop_assert_eq!(decoder.decode(outcome.counter, record), Some((outcome, *kept)));
        }
    }

    #[test]
    fn a_record_that_lacks_its_end_is_not_read(parts in parts()) {
        let bytes = alone(&outcome(0, &parts).0);
        let mut decoder = Decoder::default();
        prop_assert_eq!(decoder.decode(0, &bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn any_bytes_are_an_outcome_or_none(records in vec(vec(any::<u8>(), 0..200), 1..5)) {
        let mut decoder = Decoder::default();
        for record in &records {
            let _either = decoder.decode(0, record);
        }
    }
}

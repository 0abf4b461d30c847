//! An outcome as bytes: what a core writes at the end of each request, so short and made with no more than copies.
//!
//! One number of flags, the numbers in the order of [`Outcome`]'s fields, then the texts. Numbers take seven bits a byte,
//! the lowest first, and a text is its length and its bytes.

use flexgate_schemas::Outcome;

use super::Kept;

/// The most bytes of a path or a query; what is longer is cut. Also of the values that routes match on, which are JSON and
/// so are left out instead.
const LONG_BYTES_MAX: usize = 4096;
/// The most bytes of any other text; what is longer is cut.
const SHORT_BYTES_MAX: usize = 512;
/// Texts that need not be there.
const TEXTS: usize = 13;
/// Room for every outcome: three long and twelve short texts, each with its length, and ten numbers of ten bytes at most.
pub(super) const BYTES_MAX: usize = 3 * (LONG_BYTES_MAX + 2) + 12 * (SHORT_BYTES_MAX + 2) + 10 * 10;

const COUNTED: u64 = 1;
const HAS_STATUS: u64 = 1 << 1;
const HAS_UPSTREAM_MICROS: u64 = 1 << 2;
/// The flag of the first text; those of the others follow.
const FIRST_TEXT: u32 = 3;

/// Writes an outcome, all but its counter, and says how many bytes it took.
pub(super) fn encode(outcome: &Outcome<'_>, kept: Kept, room: &mut [u8; BYTES_MAX]) -> usize {
    let texts = texts(outcome);
    let mut flags = if kept == Kept::Counted { COUNTED } else { 0 };
    if outcome.status.is_some() {
        flags |= HAS_STATUS;
    }
    if outcome.upstream_micros.is_some() {
        flags |= HAS_UPSTREAM_MICROS;
    }
    for (text, place) in texts.iter().zip(FIRST_TEXT..) {
        flags |= u64::from(text.is_some()) << place;
    }
    let mut put = Put { room, at: 0 };
    put.number(flags);
    put.number(outcome.arrival);
    put.number(outcome.at.cast_unsigned());
    put.number(outcome.generation);
    put.number(outcome.revision);
    if let Some(status) = outcome.status {
        put.number(status.into());
    }
    put.number(outcome.attempts.into());
    put.number(outcome.micros);
    if let Some(micros) = outcome.upstream_micros {
        put.number(micros);
    }
    put.number(outcome.bytes_in);
    put.number(outcome.bytes_out);
    put.text(cut(outcome.method, SHORT_BYTES_MAX));
    put.text(cut(outcome.path, LONG_BYTES_MAX));
    for text in texts.into_iter().flatten() {
        put.text(text);
    }
    put.at
}

/// Reads what [`encode`] wrote, and gives it its counter; `None` of anything else.
pub(in crate::outcomes) fn decode(counter: u64, bytes: &[u8]) -> Option<(Outcome<'_>, Kept)> {
    let mut take = Take(bytes);
    let flags = take.number()?;
    let has = |flag: u64| flags & flag != 0;
    let mut outcome = Outcome {
        counter,
        arrival: take.number()?,
        at: take.number()?.cast_signed(),
        generation: take.number()?,
        revision: take.number()?,
        ..Outcome::default()
    };
    if has(HAS_STATUS) {
        outcome.status = Some(take.number()?.try_into().ok()?);
    }
    outcome.attempts = take.number()?.try_into().ok()?;
    outcome.micros = take.number()?;
    if has(HAS_UPSTREAM_MICROS) {
        outcome.upstream_micros = Some(take.number()?);
    }
    outcome.bytes_in = take.number()?;
    outcome.bytes_out = take.number()?;
    outcome.method = take.text()?;
    outcome.path = take.text()?;
    for (text, place) in texts_mut(&mut outcome).into_iter().zip(FIRST_TEXT..) {
        if has(1 << place) {
            *text = Some(take.text()?);
        }
    }
    let known = (1 << (FIRST_TEXT as usize + TEXTS)) - 1;
    if flags > known || !take.0.is_empty() {
        return None;
    }
    let kept = if has(COUNTED) { Kept::Counted } else { Kept::Row };
    Some((outcome, kept))
}

/// The texts that need not be there, no longer than they may be, in the order in which they are written.
fn texts<'a>(outcome: &Outcome<'a>) -> [Option<&'a str>; TEXTS] {
    let short = |text: Option<&'a str>| text.map(|text| cut(text, SHORT_BYTES_MAX));
    [
        short(outcome.route),
        short(outcome.upstream),
        short(outcome.target),
        short(outcome.host),
        outcome.query.map(|text| cut(text, LONG_BYTES_MAX)),
        short(outcome.refused),
        short(outcome.error),
        short(outcome.key),
        short(outcome.client),
        short(outcome.user_agent),
        short(outcome.correlation),
        short(outcome.trace),
        outcome.matched.filter(|text| text.len() <= LONG_BYTES_MAX),
    ]
}

/// Where they belong, in the same order.
fn texts_mut<'o, 'a>(outcome: &'o mut Outcome<'a>) -> [&'o mut Option<&'a str>; TEXTS] {
    [
        &mut outcome.route,
        &mut outcome.upstream,
        &mut outcome.target,
        &mut outcome.host,
        &mut outcome.query,
        &mut outcome.refused,
        &mut outcome.error,
        &mut outcome.key,
        &mut outcome.client,
        &mut outcome.user_agent,
        &mut outcome.correlation,
        &mut outcome.trace,
        &mut outcome.matched,
    ]
}

fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        text
    } else {
        &text[..text.floor_char_boundary(bytes_max)]
    }
}

/// Writes from left to right. It never comes to the end: [`BYTES_MAX`] has room for the longest outcome.
struct Put<'a> {
    room: &'a mut [u8; BYTES_MAX],
    at: usize,
}

impl Put<'_> {
    fn byte(&mut self, byte: u8) {
        self.room[self.at] = byte;
        self.at += 1;
    }

    #[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.room[self.at..][..text.len()].copy_from_slice(text.as_bytes());
        self.at += text.len();
    }
}

/// Reads from left to right.
struct Take<'a>(&'a [u8]);

impl<'a> Take<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for place in 0..10 {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            number |= bits
                .checked_shl(7 * place)
                .filter(|shifted| shifted >> (7 * place) == bits)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    fn encoded(outcome: &Outcome<'_>, kept: Kept) -> Vec<u8> {
        let mut room: Box<[u8; BYTES_MAX]> = vec![0xaa; BYTES_MAX].try_into().unwrap();
        let length = encode(outcome, kept, &mut room);
        room[..length].to_vec()
    }

    #[test]
    fn an_ordinary_outcome_takes_less_than_190_bytes() {
        let outcome = Outcome {
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
        };
        let length = encoded(&outcome, Kept::Row).len();
        assert!(length < 190, "{length}");
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
        let bytes = encoded(&outcome, Kept::Row);
        let (read, _) = decode(0, &bytes).unwrap();
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
        let text = Some(&*long);
        let mut outcome = Outcome {
            arrival: u64::MAX,
            at: i64::MIN,
            generation: u64::MAX,
            revision: u64::MAX,
            method: &long,
            path: &long,
            status: Some(u16::MAX),
            attempts: u32::MAX,
            micros: u64::MAX,
            upstream_micros: Some(u64::MAX),
            bytes_in: u64::MAX,
            bytes_out: u64::MAX,
            ..Outcome::default()
        };
        for room in texts_mut(&mut outcome) {
            *room = text;
        }
        let bytes = encoded(&outcome, Kept::Counted);
        assert!(decode(0, &bytes).is_some() && bytes.len() <= BYTES_MAX);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            counter in any::<u64>(),
            numbers in any::<[u64; 6]>(),
            at in any::<i64>(),
            status in any::<Option<u16>>(),
            attempts in any::<u32>(),
            upstream_micros in any::<Option<u64>>(),
            required in any::<[String; 2]>(),
            optional in vec(option::of(".{0,40}"), TEXTS),
            counted in any::<bool>(),
        ) {
            let texts: [Option<&str>; TEXTS] = std::array::from_fn(|place| optional[place].as_deref());
            let [arrival, generation, revision, micros, bytes_in, bytes_out] = numbers;
            let mut outcome = Outcome {
                counter, arrival, at, generation, revision, status, attempts, micros, upstream_micros, bytes_in, bytes_out,
                method: &required[0],
                path: &required[1],
                ..Outcome::default()
            };
            for (room, text) in texts_mut(&mut outcome).into_iter().zip(texts) {
                *room = text;
            }
            let kept = if counted { Kept::Counted } else { Kept::Row };
            let bytes = encoded(&outcome, kept);
            prop_assert_eq!(decode(counter, &bytes), Some((outcome, kept)));
            prop_assert_eq!(decode(counter, &bytes[..bytes.len() - 1]), None);
        }

        #[test]
        fn any_bytes_are_an_outcome_or_none(bytes in vec(any::<u8>(), 0..200)) {
            let _either = decode(0, &bytes);
        }
    }
}

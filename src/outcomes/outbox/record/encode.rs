//! Writing outcomes.

use flexgate_schemas::Outcome;

use super::{
    BYTES_MAX, COUNTED, FIRST_NUMBER, FIRST_TEXT, HAS_UPSTREAM_MICROS, NUMBERS, TEXTS, WHOLE, WHOLE_EVERY,
    changed_numbers, changed_texts, numbers, texts,
};
use crate::outcomes::outbox::Kept;

/// Writes outcomes, each beside the one before.
#[derive(Debug, Default)]
pub(in crate::outcomes::outbox) struct Encoder {
    /// How many more records may say only what is different.
    lean: u32,
    arrival: u64,
    at: i64,
    numbers: [u64; NUMBERS],
    texts: [Held; TEXTS],
}

/// A text of the outcome before. Its room is kept when it goes.
#[derive(Debug, Default)]
struct Held {
    is_there: bool,
    text: String,
}

impl Encoder {
    /// The next outcome begins a file: there is nothing before it.
    pub(in crate::outcomes::outbox) fn begin(&mut self) {
        self.lean = 0;
    }

    /// Writes an outcome, all but its counter, and says how many bytes it took.
    pub(in crate::outcomes::outbox) fn encode(
        &mut self,
        outcome: &Outcome<'_>,
        kept: Kept,
        room: &mut [u8; BYTES_MAX],
    ) -> usize {
        let mut flags = self.step();
        if kept == Kept::Counted {
            flags |= COUNTED;
        }
        if outcome.upstream_micros.is_some() {
            flags |= HAS_UPSTREAM_MICROS;
        }
        let (numbers, texts) = (numbers(outcome), texts(outcome));
        for (place, (number, before)) in numbers.iter().zip(&self.numbers).enumerate() {
            flags |= u64::from(number != before) << (FIRST_NUMBER + place);
        }
        for (place, (text, before)) in texts.iter().zip(&self.texts).enumerate() {
            flags |= u64::from(!before.is(*text)) << (FIRST_TEXT + place);
        }

        let mut put = Put { room, at: 0 };
        put.number(flags);
        put.difference(outcome.arrival.wrapping_sub(self.arrival).cast_signed());
        put.difference(outcome.at.wrapping_sub(self.at));
        put.number(outcome.micros);
        if let Some(micros) = outcome.upstream_micros {
            put.number(micros);
        }
        for place in changed_numbers(flags) {
            put.number(numbers[place]);
        }
        for place in changed_texts(flags) {
            put.number(texts[place].map_or(0, |text| text.len() as u64 + 1));
        }
        for place in changed_texts(flags) {
            put.text(texts[place].unwrap_or_default());
            self.texts[place].hold(texts[place]);
        }
        (self.arrival, self.at, self.numbers) = (outcome.arrival, outcome.at, numbers);
        put.at
    }

    /// Whether the next record is whole, as a flag. If it is, it is written as if an empty outcome were before it.
    fn step(&mut self) -> u64 {
        if let Some(left) = self.lean.checked_sub(1) {
            self.lean = left;
            return 0;
        }
        self.lean = WHOLE_EVERY - 1;
        (self.arrival, self.at, self.numbers) = (0, 0, [0; NUMBERS]);
        self.texts.iter_mut().for_each(|text| text.hold(None));
        WHOLE
    }
}

impl Held {
    fn is(&self, text: Option<&str>) -> bool {
        match text {
            Some(text) => self.is_there && self.text == text,
            None => !self.is_there,
        }
    }

    fn hold(&mut self, text: Option<&str>) {
        self.is_there = text.is_some();
        self.text.clear();
        self.text.push_str(text.unwrap_or_default());
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

    /// Small ones of either sign are short.
    fn difference(&mut self, difference: i64) {
        self.number((difference << 1 ^ difference >> 63).cast_unsigned());
    }

    fn text(&mut self, text: &str) {
        self.room[self.at..][..text.len()].copy_from_slice(text.as_bytes());
        self.at += text.len();
    }
}

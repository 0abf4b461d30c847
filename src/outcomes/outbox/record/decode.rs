//! Reading them.

use flexgate_schemas::Outcome;

use super::{
    COUNTED, FIRST_TEXT, HAS_UPSTREAM_MICROS, TEXTS, WHOLE, changed_numbers, changed_texts, set_number,
    set_text,
};
use crate::outcomes::outbox::Kept;

/// All flags that there are.
const FLAGS: u64 = (1 << (FIRST_TEXT + TEXTS)) - 1;

/// Reads outcomes, in the order in which they were written, from a whole one on.
#[derive(Debug, Default)]
pub(in crate::outcomes::outbox) struct Decoder<'a> {
    /// The one before, if it could be read.
    outcome: Option<Outcome<'a>>,
}

impl<'a> Decoder<'a> {
    /// Reads the next record, and gives its outcome this counter; `None` of anything that no encoder wrote, and from there
    /// up to the next whole one.
    pub(in crate::outcomes::outbox) fn decode(
        &mut self,
        counter: u64,
        bytes: &'a [u8],
    ) -> Option<(&Outcome<'a>, Kept)> {
        let kept = self.read(bytes);
        if kept.is_none() {
            self.outcome = None; // a part of it may have been changed
        }
        let outcome = self.outcome.as_mut()?;
        outcome.counter = counter;
        Some((outcome, kept?))
    }

    /// Changes what this record says.
    fn read(&mut self, bytes: &'a [u8]) -> Option<Kept> {
        let mut take = Take(bytes);
        let flags = take.number()?;
        let has = |flag: u64| flags & flag != 0;
        if flags > FLAGS {
            return None;
        }
        let outcome = if has(WHOLE) {
            self.outcome.insert(Outcome::default())
        } else {
            self.outcome.as_mut()?
        };
        outcome.arrival = outcome.arrival.wrapping_add_signed(take.difference()?);
        outcome.at = outcome.at.wrapping_add(take.difference()?);
        outcome.micros = take.number()?;
        outcome.upstream_micros = if has(HAS_UPSTREAM_MICROS) {
            Some(take.number()?)
        } else {
            None
        };
        for place in changed_numbers(flags) {
            set_number(outcome, place, take.number()?)?;
        }
        read_texts(outcome, flags, take)?;
        Some(if has(COUNTED) { Kept::Counted } else { Kept::Row })
    }
}

/// All of what is left are texts.
fn read_texts<'a>(outcome: &mut Outcome<'a>, flags: u64, mut take: Take<'a>) -> Option<()> {
    if changed_texts(flags).next().is_none() {
        return take.0.is_empty().then_some(());
    }
    let mut lengths = [0; TEXTS];
    for place in changed_texts(flags) {
        lengths[place] = take.number()?;
    }
    let mut left = str::from_utf8(take.0).ok()?;
    for place in changed_texts(flags) {
        let mut text = None;
        if let Some(length) = lengths[place].checked_sub(1) {
            let (first, rest) = left.split_at_checked(length.try_into().ok()?)?;
            (text, left) = (Some(first), rest);
        }
        set_text(outcome, place, text)?;
    }
    left.is_empty().then_some(())
}

/// Reads from left to right.
struct Take<'a>(&'a [u8]);

impl Take<'_> {
    fn number(&mut self) -> Option<u64> {
        match *self.0 {
            [byte @ ..0x80, ref rest @ ..] => {
                self.0 = rest;
                Some(byte.into())
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Option<u64> {
        let mut number = 0;
        for (place, byte) in self.0.iter().enumerate().take(10) {
            number |= u64::from(byte & 0x7f) << (7 * place);
            if *byte < 0x80 {
                self.0 = &self.0[place + 1..];
                // Nine bytes have 63 bits: the tenth can have the last one.
                return (place < 9 || *byte < 2).then_some(number);
            }
        }
        None
    }

    fn difference(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}

//! Outcomes as bytes: what a core writes at the end of each request, so short and made with little more than comparisons.
//!
//! Most of an outcome is as in the one before: the route, the target, the client and what it calls itself. A record says
//! what is not. One in [`WHOLE_EVERY`] is whole, as if there were an empty outcome before it, so that a reader can begin
//! there. A record is, in this order:
//!
//! - a number of flags: whether it is whole, and what of the following comes;
//! - the number of the arrival and its time, each less that of the record before; the duration, and the upstream's;
//! - of the other numbers those that changed;
//! - of the texts that changed the lengths plus one, or 0 for a text that is not there;
//! - these texts, one after the other, so that whether they are UTF-8 is asked once.
//!
//! Numbers take seven bits a byte, the lowest first. A difference has its sign in its lowest bit.

mod decode;
mod encode;

use std::iter;

use flexgate_schemas::Outcome;

pub(super) use self::{decode::Decoder, encode::Encoder};

/// Of so many records one is whole: the most that are read in vain by who begins somewhere.
const WHOLE_EVERY: u32 = 64;
/// The most bytes of a path or a query; what is longer is cut. Also of the values that routes match on, which are JSON and
/// so are left out instead.
const LONG_BYTES_MAX: usize = 4096;
/// The most bytes of any other text; what is longer is cut.
const SHORT_BYTES_MAX: usize = 512;
/// Numbers that are written when they change.
const NUMBERS: usize = 6;
/// Texts, which are too.
const TEXTS: usize = 15;
/// Room for every outcome: three long and twelve short texts, each with its length, and eleven numbers of ten bytes at most.
pub(super) const BYTES_MAX: usize = 3 * (LONG_BYTES_MAX + 2) + 12 * (SHORT_BYTES_MAX + 2) + 11 * 10;

const WHOLE: u64 = 1;
const COUNTED: u64 = 1 << 1;
const HAS_UPSTREAM_MICROS: u64 = 1 << 2;
/// The flag of the first number that may have changed; those of the others follow, then those of the texts.
const FIRST_NUMBER: usize = 3;
const FIRST_TEXT: usize = FIRST_NUMBER + NUMBERS;

/// Whether a record can be read without the one before.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|flags| u64::from(*flags) & WHOLE != 0)
}

/// The numbers that are written when they change: those that do so most come first, where their flags take no further byte.
fn numbers(outcome: &Outcome<'_>) -> [u64; NUMBERS] {
    [
        outcome.status.map_or(0, |status| u64::from(status) + 1),
        outcome.bytes_out,
        outcome.bytes_in,
        outcome.attempts.into(),
        outcome.generation,
        outcome.revision,
    ]
}

/// Puts one of them where it belongs; `None` if it does not fit.
fn set_number(outcome: &mut Outcome<'_>, place: usize, number: u64) -> Option<()> {
    match place {
        0 => outcome.status = number.checked_sub(1).map(u16::try_from).transpose().ok()?,
        1 => outcome.bytes_out = number,
        2 => outcome.bytes_in = number,
        3 => outcome.attempts = number.try_into().ok()?,
        4 => outcome.generation = number,
        5 => outcome.revision = number,
        _ => return None,
    }
    Some(())
}

/// The texts, no longer than they may be; again in the order of how often they change.
fn texts<'a>(outcome: &Outcome<'a>) -> [Option<&'a str>; TEXTS] {
    let short = |text: Option<&'a str>| text.map(|text| cut(text, SHORT_BYTES_MAX));
    [
        Some(cut(outcome.path, LONG_BYTES_MAX)),
        short(outcome.client),
        short(outcome.user_agent),
        short(outcome.target),
        short(outcome.route),
        short(outcome.upstream),
        short(outcome.host),
        short(Some(outcome.method)),
        outcome.query.map(|text| cut(text, LONG_BYTES_MAX)),
        short(outcome.correlation),
        short(outcome.trace),
        short(outcome.key),
        short(outcome.refused),
        short(outcome.error),
        outcome.matched.filter(|text| text.len() <= LONG_BYTES_MAX),
    ]
}

/// Puts one of them where it belongs; `None` if it has to be there.
fn set_text<'a>(outcome: &mut Outcome<'a>, place: usize, text: Option<&'a str>) -> Option<()> {
    match place {
        0 => outcome.path = text?,
        1 => outcome.client = text,
        2 => outcome.user_agent = text,
        3 => outcome.target = text,
        4 => outcome.route = text,
        5 => outcome.upstream = text,
        6 => outcome.host = text,
        7 => outcome.method = text?,
        8 => outcome.query = text,
        9 => outcome.correlation = text,
        10 => outcome.trace = text,
        11 => outcome.key = text,
        12 => outcome.refused = text,
        13 => outcome.error = text,
        14 => outcome.matched = text,
        _ => return None,
    }
    Some(())
}

fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        text
    } else {
        &text[..text.floor_char_boundary(bytes_max)]
    }
}

/// The places of the numbers that these flags say have changed.
fn changed_numbers(flags: u64) -> impl Iterator<Item = usize> {
    places(flags >> FIRST_NUMBER & ((1 << NUMBERS) - 1))
}

/// The places of the texts that they say have changed.
fn changed_texts(flags: u64) -> impl Iterator<Item = usize> {
    places(flags >> FIRST_TEXT)
}

/// The places of the bits that are set.
fn places(mut bits: u64) -> impl Iterator<Item = usize> {
    iter::from_fn(move || {
        let place = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
        bits &= bits - 1;
        Some(place)
    })
}

#[cfg(test)]
mod tests;

//! The id of a request: derived, so that a million of them in the log cost nothing.
//!
//! It has the form of a UUID of version 7 (RFC 9562 5.7), so that ids sort by time. Its other bits are not random but made
//! of the core and the number of the arrival, permuted with the key of the boot: whoever has the outcome can work the id
//! out, and who only sees ids learns nothing of how many there are.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// What the ids of one boot are permuted with. It hides numbers, it protects nothing: the stream has it in the clear.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdKey([u32; 4]);

impl IdKey {
    /// The key of these bits; random ones, once per boot.
    pub fn new(bits: u128) -> Self {
        let bytes = bits.to_be_bytes();
        let part = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Self([part(0), part(4), part(8), part(12)])
    }

    /// The id of the request that was the `arrival`th (below 2^48) on a core, at so many milliseconds since 1970.
    pub fn id(self, core: u16, arrival: u64, unix_millis: u64) -> Uuid {
        let block = self.permute(u64::from(core) << 48 | arrival & ((1 << 48) - 1));
        // Ten bits tell boots apart, should two of them permute to the same block in the same millisecond.
        let high = u64::from(self.0[0] & 0x3ff) << 2 | block >> 62;
        let most = unix_millis << 16 | 0x7000 | high;
        let least = 0b10 << 62 | block & ((1 << 62) - 1);
        Uuid::from_u64_pair(most, least)
    }

    /// A Feistel network: whatever its rounds compute, no two inputs have the same output.
    fn permute(self, input: u64) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        let (mut left, mut right) = ((input >> 32) as u32, input as u32);
        for key in self.0 {
            (left, right) = (right, left ^ mixed(right ^ key));
        }
        u64::from(left) << 32 | u64::from(right)
    }
}

/// Every bit of the output depends on every bit of the input (the finisher of `MurmurHash3`).
fn mixed(mut half: u32) -> u32 {
    half = (half ^ half >> 16).wrapping_mul(0x85eb_ca6b);
    half = (half ^ half >> 13).wrapping_mul(0xc2b2_ae35);
    half ^ half >> 16
}

impl fmt::Display for IdKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| write!(out, "{part:08x}"))
    }
}

impl fmt::Debug for IdKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "IdKey({self})")
    }
}

impl FromStr for IdKey {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_key = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let bits = is_key.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        bits.map(Self::new)
            .ok_or("an id key is 32 hexadecimal digits in lower case")
    }
}

text_value!(
    IdKey,
    "the key that the ids of one boot are permuted with",
    "^[0-9a-f]{32}$"
);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_requests_of_a_boot_have_the_same_id() {
        let key = IdKey::new(7);
        let ids =
            (0..4).flat_map(|core| (0..5000).map(move |arrival| key.id(core, arrival, 1_800_000_000_000)));
        assert_eq!(ids.collect::<HashSet<_>>().len(), 20_000);
    }

    #[test]
    fn an_id_is_a_uuid_of_version_7_with_the_time_of_the_request() {
        let id = IdKey::new(u128::MAX).id(3, 1 << 47, 1_800_000_000_123);
        assert_eq!(
            (id.get_version_num(), id.get_variant()),
            (7, uuid::Variant::RFC4122)
        );
        assert_eq!(
            id.get_timestamp().unwrap().to_unix(),
            (1_800_000_000, 123_000_000)
        );
    }

    #[test]
    fn the_same_request_has_another_id_in_another_boot() {
        assert_ne!(IdKey::new(1).id(0, 0, 0), IdKey::new(2).id(0, 0, 0));
    }

    #[test]
    fn an_id_does_not_show_how_many_came_before() {
        let key = IdKey::new(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        let ids: Vec<_> = (0..1000).map(|arrival| key.id(0, arrival, 0).as_u128()).collect();
        let ascending = ids.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((400..600).contains(&ascending), "{ascending} of 999 ascend");
    }

    #[test]
    fn a_key_is_written_and_read() {
        let key = IdKey::new(0xfeed);
        assert_eq!(key.to_string().parse::<IdKey>(), Ok(key));
        assert!("xyz".parse::<IdKey>().is_err());
    }
}

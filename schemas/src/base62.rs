//! Digits in base 62: letters and digits only, so that what is written in them is one word in a URL, a shell and a header.

/// In the order of their bytes, so that numbers of one length sort as their texts do.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The first `N` digits after the point of 32 bytes, read as a fraction of 2^256. 43 of them tell all bytes apart, since 62^43
/// is more than 2^256.
pub fn digits<const N: usize>(bytes: &[u8; 32]) -> [u8; N] {
    let (words, _) = bytes.as_chunks();
    let mut fraction: [u64; 4] = std::array::from_fn(|place| u64::from_be_bytes(words[place]));
    std::array::from_fn(|_| {
        let mut carry = 0;
        for word in fraction.iter_mut().rev() {
            (*word, carry) = word.carrying_mul(62, carry);
        }
        let digit = usize::try_from(carry).unwrap_or(0); // less than 62: it is what a fraction times 62 has before the point
        DIGITS[digit]
    })
}

/// Whether all of these are digits.
pub fn are_digits(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn bytes_are_written_as_the_fraction_that_they_are() {
        assert_eq!(digits(&[0; 32]), [b'0'; 43]);
        assert_eq!(digits::<3>(&[0xff; 32]), *b"zzz");
        let half = std::array::from_fn(|place| if place == 0 { 0x80 } else { 0 });
        assert_eq!(digits::<3>(&half), *b"V00"); // 31/62
        let least = std::array::from_fn(|place| u8::from(place == 31));
        assert_ne!(digits::<43>(&least), digits::<43>(&[0; 32]));
    }

    #[test]
    fn the_order_of_bytes_is_the_order_of_texts() {
        let byte = |byte| digits::<43>(&[byte; 32]);
        assert!((0..255).all(|low| byte(low) < byte(low + 1)));
        assert_eq!((0..=255).map(byte).collect::<BTreeSet<_>>().len(), 256);
    }
}

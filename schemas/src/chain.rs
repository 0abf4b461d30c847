//! The running hash over commits, by which a reader knows that a history continues the one it has seen.

use std::{fmt, str::FromStr};

use aws_lc_rs::digest;

/// `SHA-256(32 bytes of the parent's chain, stored payload bytes)`; the parent of a genesis commit is all zeros.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Chain([u8; 32]);

impl Chain {
    /// What a genesis commit names as its parent.
    pub const ZERO: Self = Self([0; 32]);

    /// The chain after a commit with this payload.
    #[must_use]
    pub fn then(&self, payload: &[u8]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&self.0);
        context.update(payload);
        Self(sha256_bytes(&context.finish()))
    }
}

/// The SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    sha256_bytes(&digest::digest(&digest::SHA256, bytes))
}

fn sha256_bytes(digest: &digest::Digest) -> [u8; 32] {
    digest.as_ref().try_into().expect("a SHA-256 digest has 32 bytes")
}

/// Bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}

impl FromStr for Chain {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "a chain is 64 hexadecimal digits";
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(EXPECTED);
        }
        let mut bytes = [0; 32];
        for (position, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * position..2 * position + 2], 16).map_err(|_| EXPECTED)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Chain({self})")
    }
}

text_value!(Chain, "a chain hash", "^[0-9a-f]{64}$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_is_the_hash_of_parent_and_payload() {
        // printf '%064d' 0 | xxd -r -p | cat - <(printf genesis) | sha256sum
        let genesis = Chain::ZERO.then(b"genesis");
        assert_eq!(genesis, Chain(sha256(&[&[0; 32][..], b"genesis"].concat())));
        assert_eq!(genesis.to_string().parse::<Chain>().unwrap(), genesis);
        assert_ne!(genesis.then(b"a").then(b"b"), genesis.then(b"b").then(b"a"));
    }
}

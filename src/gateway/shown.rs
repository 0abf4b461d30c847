//! The API key that a client has shown last. It shows the same one with each request, and to hash it again would cost more than
//! all else that is asked of it.

use std::{cell::RefCell, fmt};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use flexgate_schemas::key::SecretHash;

/// What came last over a connection, and its hash. Gone with the connection.
#[derive(Default)]
pub(super) struct Shown(RefCell<Option<(Vec<u8>, SecretHash)>>);

impl Shown {
    /// The hash of what is sent now.
    pub(super) fn hash(&self, sent: &[u8]) -> SecretHash {
        let mut last = self.0.borrow_mut();
        // Many clients may share a connection, so that one must not learn by the time it takes what another one has sent.
        if let Some((shown, hash)) = &*last
            && verify_slices_are_equal(shown, sent).is_ok()
        {
            return *hash;
        }
        let hash = SecretHash::of(sent);
        *last = Some((sent.to_owned(), hash));
        hash
    }
}

/// Nothing of it.
impl fmt::Debug for Shown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Shown")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_what_is_sent_now() {
        let shown = Shown::default();
        for sent in ["a", "a", "b", "ab", "", "a"] {
            let sent = sent.as_bytes();
            assert!(shown.hash(sent).matches(&SecretHash::of(sent)), "{sent:?}");
        }
        assert_eq!(format!("{shown:?}"), "Shown");
    }
}

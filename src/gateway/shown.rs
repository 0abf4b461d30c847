//! The API key that a client has shown last. It shows the same one with each request, and to look into it again would cost more
//! than all else that is asked of it.

use std::{cell::RefCell, fmt};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use flexgate_schemas::{
    KeyId,
    key::{SecretHash, secret},
};

/// What is known of what a client sends, before anybody is asked whether there is such a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) hash: SecretHash,
    /// The key that it says it is of.
    pub(super) claimed: Option<KeyId>,
}

impl Sent {
    pub(super) fn of(sent: &[u8]) -> Self {
        Self {
            hash: SecretHash::of(sent),
            claimed: secret::claimed_id(sent),
        }
    }
}

/// What came last over a connection. Gone with the connection.
#[derive(Default)]
pub(super) struct Shown(RefCell<Option<(Vec<u8>, Sent)>>);

impl Shown {
    /// What is known of what is sent now.
    pub(super) fn look_into(&self, sent: &[u8]) -> Sent {
        let mut last = self.0.borrow_mut();
        // Many clients may share a connection, so that one must not learn by the time it takes what another one has sent.
        if let Some((shown, known)) = &*last
            && verify_slices_are_equal(shown, sent).is_ok()
        {
            return *known;
        }
        let known = Sent::of(sent);
        *last = Some((sent.to_owned(), known));
        known
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
    fn what_is_known_is_of_what_is_sent_now() {
        let shown = Shown::default();
        let [one, other] = [1, 2].map(|number| {
            let id = KeyId::made_of(&[number; 32]);
            (secret::made_of(id, &[number; 32]), Some(id))
        });
        let [one, other] = [&one, &other].map(|(secret, id)| (&**secret, *id));
        for (sent, claimed) in [one, one, other, ("fg_", None), ("", None), one] {
            let known = shown.look_into(sent.as_bytes());
            assert!(known.hash.matches(&SecretHash::of(sent.as_bytes())), "{sent}");
            assert_eq!(known.claimed, claimed, "{sent}");
        }
        assert_eq!(format!("{shown:?}"), "Shown");
    }
}

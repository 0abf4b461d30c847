//! One verification for all who send the same at the same time: a client that opens fifty connections shows one password.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use tokio::sync::Notify;

use super::Print;

/// What a core has under way.
#[derive(Debug, Default)]
pub(super) struct Turns(RefCell<HashMap<Print, Rc<Notify>>>);

/// It is this one's turn, until this is dropped: then all who wait look again.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    turns: &'t Turns,
    print: Print,
}

impl Turns {
    /// The turn, or what to wait for.
    pub(super) fn take(&self, print: Print) -> Result<Turn<'_>, Rc<Notify>> {
        let mut under_way = self.0.borrow_mut();
        if let Some(over) = under_way.get(&print) {
            return Err(Rc::clone(over));
        }
        under_way.insert(print, Rc::default());
        Ok(Turn { turns: self, print })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(over) = self.turns.0.borrow_mut().remove(&self.print) {
            over.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn one_of_those_who_send_the_same_has_the_turn_and_the_others_hear_when_it_is_over() {
        let turns = Turns::default();
        let first = turns.take([1; 32]).unwrap();
        let over = turns.take([1; 32]).unwrap_err();
        assert!(turns.take([2; 32]).is_ok(), "another one does not wait for it");
        let mut told = std::pin::pin!(over.notified());
        assert!(told.as_mut().now_or_never().is_none());
        drop(first);
        assert!(told.now_or_never().is_some());
        assert!(turns.take([1; 32]).is_ok());
    }
}

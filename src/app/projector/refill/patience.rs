//! How often what is in the way of reading a stream is put up with: as long as something is read in between.

use std::time::Duration;

use flexgate_projections::Error;
use tokio::time::sleep;

/// How often a stream is read again from the same place before that is given up.
const TRIES: usize = 30;
/// The pause in between.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// What came of reading once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// All that was to be read.
    Through,
    /// Something, up to a place.
    UpTo(u64),
}

/// How often it may still be tried.
#[derive(Debug)]
pub(super) struct Patience {
    left: usize,
    reached: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            left: TRIES,
            reached: 0,
        }
    }
}

impl Patience {
    /// Whether all was read. If not, it can be tried again when this returns; of what is no fault of the stream, and of one
    /// that lasts, an error.
    pub(super) async fn is_over(&mut self, read: Result<Came, Error>) -> Result<bool, Error> {
        let broken = match read {
            Ok(Came::Through) => return Ok(true),
            Ok(Came::UpTo(reached)) => {
                if reached > self.reached {
                    *self = Self { left: TRIES, reached };
                }
                Error::Stream(format!("nothing more comes behind {reached}"))
            }
            Err(broken @ Error::Stream(_)) => broken,
            Err(error) => return Err(error),
        };
        self.pause(broken).await?;
        Ok(false)
    }

    /// Waits until it is worth another try, or says that it is not.
    pub(super) async fn pause(&mut self, broken: Error) -> Result<(), Error> {
        if self.left == 0 {
            return Err(broken);
        }
        tracing::debug!(%broken, "what is made anew waits");
        self.left -= 1;
        sleep(READ_AGAIN).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken() -> Error {
        Error::Stream("no answer".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_may_break_any_number_of_times_as_long_as_something_is_read() {
        let mut patience = Patience::default();
        for reached in 1..100 {
            for read in [Ok(Came::UpTo(reached)), Err(broken())] {
                assert!(!patience.is_over(read).await.unwrap());
            }
        }
        assert!(patience.is_over(Ok(Came::Through)).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_gives_nothing_is_given_up_in_the_end() {
        let mut patience = Patience::default();
        assert!(!patience.is_over(Ok(Came::UpTo(7))).await.unwrap());
        for _ in 1..TRIES {
            assert!(!patience.is_over(Err(broken())).await.unwrap());
        }
        let given_up = patience.is_over(Ok(Came::UpTo(7))).await;
        assert!(matches!(given_up, Err(Error::Stream(_))), "{given_up:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_fault_of_the_stream_is_not_tried_again() {
        let done = Patience::default().is_over(Err(Error::Fenced)).await;
        assert!(matches!(done, Err(Error::Fenced)), "{done:?}");
    }
}

//! Dead letters of one stream that are applied as its messages are: one takeover and one transaction for many, with their
//! removal.
//!
//! If the database refuses them together, each is tried by itself, behind a savepoint of the same transaction: one that it
//! refuses keeps no others from being applied, and whoever projects is stopped once.

use chrono::{DateTime, Utc};
use flexgate_schemas::{
    Timestamp,
    frame::{Delivered, Sealed},
};
use sqlx::{Connection as _, PgConnection, types::Json};

use super::{
    super::{
        BATCH_BYTES_MAX, NAME, VERSION,
        batch::{Batch, Dead, Fold},
        dead::{self, LetterId},
        restoring, sources, writing,
    },
    Retried,
};
use crate::{Error, Position, partitions::Partitions};

pub(super) const LETTERS: &str = "
    SELECT sequence, stored_at, headers, payload FROM dead_letter
    WHERE projection = $1 AND stream_created = $2 AND sequence = ANY($3) ORDER BY sequence";

/// When a letter's stream was created, its sequence there, and how many bytes it has.
pub(super) type Listed = (DateTime<Utc>, i64, i32);

/// Some of the letters of a stream: as many as there may be messages in memory at once, or a single one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bundle {
    stream_created: DateTime<Utc>,
    sequences: Vec<i64>,
    bytes: usize,
}

/// Ties letters together that lie side by side.
pub(super) fn of(listed: Vec<Listed>) -> Vec<Bundle> {
    let mut bundles: Vec<Bundle> = Vec::new();
    for (stream_created, sequence, bytes) in listed {
        let bytes = usize::try_from(bytes).unwrap_or_default();
        let fits = |bundle: &&mut Bundle| {
            bundle.stream_created == stream_created && bundle.bytes + bytes <= BATCH_BYTES_MAX
        };
        match bundles.last_mut().filter(fits) {
            Some(bundle) => {
                bundle.sequences.push(sequence);
                bundle.bytes += bytes;
            }
            None => bundles.push(Bundle {
                stream_created,
                sequences: vec![sequence],
                bytes,
            }),
        }
    }
    bundles
}

impl Bundle {
    /// The ids of its letters.
    pub(super) fn into_ids(self) -> impl Iterator<Item = LetterId> {
        let stream_created = self.stream_created;
        let sequences = self.sequences.into_iter().map(i64::unsigned_abs);
        sequences.map(move |sequence| LetterId {
            stream_created,
            sequence,
        })
    }

    fn id(&self, sequence: u64) -> LetterId {
        LetterId {
            stream_created: self.stream_created,
            sequence,
        }
    }

    /// Applies those that can be: what they count for and their removal are one transaction. Of the others it is said why.
    pub(super) async fn apply(&self, connection: &mut PgConnection) -> Result<Retried, Error> {
        let mut letters = self.load(connection).await?;
        let known = self.known(connection).await?;
        let (_, Batch { rows, mut dead, .. }) = known.fold_aside(letters.clone()).await;
        take_out(&mut letters, &dead);
        if !letters.is_empty() {
            let mut partitions = Partitions::load(connection).await?;
            partitions.ensure(connection, rows.hours(), 0).await?;
        }
        let mut transaction = connection.begin().await?;
        // Where nothing is to be written, nobody has to begin again.
        if !letters.is_empty() {
            // The row that this changes is the one that whoever projects changes first.
            Position::take(&mut transaction, NAME, VERSION).await?;
            let refused = self.write(&mut transaction, &letters).await?;
            take_out(&mut letters, &refused);
            dead.extend(refused);
            dead::bury(&mut transaction, self.stream_created, &letters).await?;
        }
        for dead in &dead {
            dead::say_again(&mut transaction, self.stream_created, dead).await?;
        }
        transaction.commit().await?;
        let failed = dead.into_iter();
        Ok(Retried {
            applied: letters.len() as u64,
            failed: failed
                .map(|dead| (self.id(dead.message.sequence), dead.error))
                .collect(),
            stopped_by: None,
        })
    }

    /// Those that are still there.
    async fn load(&self, connection: &mut PgConnection) -> Result<Vec<Delivered>, sqlx::Error> {
        type Letter = (i64, DateTime<Utc>, Json<Vec<(String, String)>>, Vec<u8>);
        let letters: Vec<Letter> = sqlx::query_as(LETTERS)
            .bind(NAME)
            .bind(self.stream_created)
            .bind(&self.sequences)
            .fetch_all(connection)
            .await?;
        let delivered = |(sequence, stored_at, Json(headers), payload): Letter| Delivered {
            sequence: sequence.unsigned_abs(),
            stored_at: Timestamp::from(stored_at),
            message: Sealed { headers, payload },
        };
        Ok(letters.into_iter().map(delivered).collect())
    }

    /// What is known of the sources.
    async fn known(&self, connection: &mut PgConnection) -> Result<Fold, sqlx::Error> {
        Ok(Fold {
            sources: sources::load(connection).await?,
            complete: restoring::load(connection, Some(self.stream_created)).await?,
        })
    }

    /// Writes what they count for: together, or one by one. Says which could not be.
    async fn write(&self, transaction: &mut PgConnection, letters: &[Delivered]) -> Result<Vec<Dead>, Error> {
        let mut known = self.known(transaction).await?;
        let (_, together) = known.clone().fold_aside(letters.to_vec()).await;
        match self.attempt(transaction, together).await {
            Err(Error::Inapplicable { .. }) => {}
            done => return done,
        }
        let mut dead = Vec::new();
        for letter in letters {
            let (ahead, alone) = known.clone().fold_aside(vec![letter.clone()]).await;
            match self.attempt(transaction, alone).await {
                Err(refused @ Error::Inapplicable { .. }) => dead.push(Dead {
                    message: letter.clone(),
                    error: refused.without_values(),
                }),
                done => {
                    dead.extend(done?);
                    known = ahead;
                }
            }
        }
        Ok(dead)
    }

    /// All of a batch or nothing, behind a savepoint. Says what the fold has put aside.
    async fn attempt(&self, transaction: &mut PgConnection, mut batch: Batch) -> Result<Vec<Dead>, Error> {
        let mut attempt = transaction.begin().await?;
        writing::write(&mut attempt, Some(self.stream_created), &mut batch)
            .await
            .map_err(|error| Error::of_event(batch.through, error))?;
        attempt.commit().await?;
        Ok(batch.dead)
    }
}

fn take_out(letters: &mut Vec<Delivered>, dead: &[Dead]) {
    letters.retain(|letter| dead.iter().all(|dead| dead.message.sequence != letter.sequence));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_a_stream_are_tied_together_up_to_what_a_batch_may_have() {
        let created = |day: i64| DateTime::from_timestamp(day * 86_400, 0).unwrap();
        let half = i32::try_from(BATCH_BYTES_MAX / 2).unwrap();
        let check = |listed: &[(i64, i64, i32)], expected: &[&[i64]]| {
            let listed = listed
                .iter()
                .map(|(day, sequence, bytes)| (created(*day), *sequence, *bytes));
            let bundles = of(listed.collect());
            let sequences: Vec<_> = bundles.iter().map(|bundle| &*bundle.sequences).collect();
            assert_eq!(sequences, expected);
        };
        check(&[], &[]);
        check(&[(1, 1, 9), (1, 2, 9), (1, 9, 9)], &[&[1, 2, 9]]);
        check(&[(1, 1, half), (1, 2, half), (1, 3, 1)], &[&[1, 2], &[3]]);
        check(&[(1, 1, 9), (2, 1, 9), (2, 2, 9)], &[&[1], &[1, 2]]);
        check(&[(1, 1, 9), (1, 2, i32::MAX), (1, 3, 9)], &[&[1], &[2], &[3]]);
    }
}

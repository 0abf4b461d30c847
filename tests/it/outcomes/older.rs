//! Tables that are not where the stream ends when they are to be made anew: those of an older version stand still, and
//! others are begun in this moment.

use flexgate_projections::{Building, Error, Live, OutcomeProjector, Refill, Retention, connect};
use futures_util::stream;

use super::{
    database::{Database, created},
    frames::delivered,
    rebuild::{Kept, frames_of_some_hours},
};

const AGE: &str = "UPDATE flexgate.projection_checkpoint SET version = 0 RETURNING 'x'";
const RENEW: &str = "UPDATE flexgate.projection_checkpoint SET version = 9 RETURNING 'x'";

#[tokio::test]
async fn tables_of_an_older_version_are_made_anew_and_the_projector_goes_on_behind_them() {
    // Of the stream nothing is gone, some of what was applied, and more than that.
    for gone in [0, 14, 17] {
        let (database, whole) = (Database::new().await, Database::new().await);
        let frames = frames_of_some_hours();
        let ahead = || delivered(frames.clone()).into_iter().skip(gone.max(15));
        database.apply(frames[..15].to_vec()).await;
        whole.apply(frames[..15].to_vec()).await;
        whole.project(ahead().collect(), false).await.unwrap();
        database.rows(AGE).await;
        let taking =
            OutcomeProjector::take_over(connect(&database.url).await.unwrap(), Retention::default()).await;
        let Err(Error::Older { projection }) = taking else {
            panic!("they are not ours");
        };
        assert_eq!(projection, "outcomes");
        let before = database.contents().await;
        let compared = database.verified(Kept::of(&frames, gone)).await;
        assert!(compared.is_same(), "{gone} frames were gone: {compared:?}");
        database.rebuild(Kept::of(&frames, gone), false).await.unwrap();
        assert_eq!(database.contents().await, before, "{gone} frames were gone");
        let mut projector = database.projector().await;
        let at = projector.position().sequence;
        let next = ahead().filter(|frame| frame.sequence > at);
        projector
            .run(created(), stream::iter(next), |_| {})
            .await
            .unwrap();
        assert_eq!(
            database.contents().await,
            whole.contents().await,
            "{gone} frames were gone"
        );
    }
}

#[tokio::test]
async fn tables_of_a_newer_version_are_left_alone() {
    let database = Database::new().await;
    let frames = frames_of_some_hours();
    database.apply(frames.clone()).await;
    let before = database.contents().await;
    database.rows(RENEW).await;
    let taking =
        OutcomeProjector::take_over(connect(&database.url).await.unwrap(), Retention::default()).await;
    assert!(matches!(taking, Err(Error::Newer { .. })), "{taking:?}");
    let refused = database.rebuild(Kept::of(&frames, 5), false).await;
    assert!(matches!(refused, Err(Error::Newer { .. })), "{refused:?}");
    assert_eq!(database.contents().await, before);
}

#[tokio::test]
async fn tables_that_are_begun_just_before_they_are_held_are_waited_for() {
    let (database, whole) = (Database::new().await, Database::new().await);
    let frames = frames_of_some_hours();
    whole.apply(frames.clone()).await;
    let begun = BegunLate {
        kept: Kept::of(&frames, 0),
        looks: 0,
        database: &database,
    };
    database.rebuild(begun, false).await.unwrap();
    assert_eq!(database.contents().await, whole.contents().await);
}

/// Nothing is applied to the tables that are read until it was looked twice where they are, which is before they are held.
struct BegunLate<'d> {
    kept: Kept,
    looks: usize,
    database: &'d Database,
}

impl Refill for BegunLate<'_> {
    async fn end(&mut self) -> Result<u64, Error> {
        self.kept.end().await
    }

    async fn goal(&mut self, live: &Live) -> Result<Option<u64>, Error> {
        self.looks += 1;
        let goal = self.kept.goal(live).await;
        let applied = match self.looks {
            2 => 5,
            4 => 20,
            _ => return goal,
        };
        let frames = self.kept.frames.iter().take(applied);
        self.database.project(frames.cloned().collect(), false).await?;
        goal
    }

    async fn fill(
        &mut self,
        building: &Building,
        until: u64,
        at: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<u64>, Error> {
        self.kept.fill(building, until, at).await
    }
}

//! Tables that an older version of the fold has made stand still, and are made anew up to where they stand.

use flexgate_projections::{Error, OutcomeProjector, Retention, connect};
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

//! Keeps the read models that are made of the messages of a stream, one after the other.

use std::{convert::Infallible, marker::PhantomData};

use flexgate_projections::{Error, MessageProjector, Messages, Stream, connect};

use super::{
    keeper::{self, ASK_EVERY, Project, READ_AGAIN, Shown},
    stops::Stops,
};
use crate::{
    drain::Tasks,
    health::Health,
    journal::{alerts::Alerts, store::StoreError},
    outcomes::feed::Feed,
};

/// Keeps the read model of a stream in a database until the tasks are stopped.
pub async fn keep<P: Messages>(
    (url, feed): (String, Feed),
    stream: Stream,
    alerts: Alerts,
    health: Health,
    tasks: Tasks,
) {
    let shown = Shown::new(P::NAME, stream, health);
    let stops = Stops::new(P::NAME, url.clone(), alerts);
    let projection = Kept::<P> {
        url,
        feed,
        _projection: PhantomData,
    };
    Box::pin(keeper::keep(projection, shown, stops, tasks)).await; // large: connections are made in it
}

struct Kept<P> {
    url: String,
    feed: Feed,
    _projection: PhantomData<P>,
}

impl<P: Messages> Project for Kept<P> {
    async fn project(&mut self, shown: &mut Shown) -> Result<Infallible, Error> {
        let mut connection = connect(&self.url).await?;
        while !MessageProjector::<P>::may_act(&mut connection).await? {
            shown.waits();
            tokio::time::sleep(ASK_EVERY).await;
        }
        let mut projector = MessageProjector::take_over(connection).await?;
        loop {
            if let Err(error) = self.read(&mut projector, shown).await? {
                tracing::debug!(%error, projection = P::NAME, "the stream cannot be read now");
            }
            tokio::time::sleep(READ_AGAIN).await;
        }
    }
}

impl<P: Messages> Kept<P> {
    /// Projects until the stream breaks, or the database.
    async fn read(
        &self,
        projector: &mut MessageProjector<P>,
        shown: &mut Shown,
    ) -> Result<Result<(), StoreError>, Error> {
        let extent = match self.feed.extent().await {
            Ok(extent) => extent,
            Err(error) => return Ok(Err(error)),
        };
        let position = projector.position();
        let after = extent.continuation(position.stream_created, position.sequence);
        let messages = match self.feed.after(after).await {
            Ok(messages) => messages,
            Err(error) => return Ok(Err(error)),
        };
        if extent.waiting(after) == 0 {
            shown.up();
        }
        projector
            .run(extent.created, messages, |_| shown.up())
            .await
            .map(Ok)
    }
}

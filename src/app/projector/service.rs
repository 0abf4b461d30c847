//! Does what an admin API asks of the projector: makes projections anew, and applies dead letters once more.

use std::time::Duration;

use async_nats::Message;
use flexgate_projections::{
    Asked, Begun, Error, PROJECTIONS, Pace, Phase, Progress, Projection, Rebuild, Retention, connect, retry,
};
use futures_util::StreamExt as _;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use uuid::Uuid;

use crate::{
    drain::Tasks,
    journal::{
        Journal,
        jetstream::{Link, Names},
    },
    projectors::{Answer, Ask},
};

/// Those who hear questions; one of them gets each.
const GROUP: &str = "projectors";
/// The pause before what the database did not take is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How often it is written down how far something is.
const REPORT_EVERY: Duration = Duration::from_millis(500);

/// What projections are kept in, and made from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The database.
    pub url: String,
    /// The log.
    pub journal: Journal,
    /// The connection to the other streams.
    pub link: Link,
    /// What they are called.
    pub names: Names,
    /// How long rows of requests are kept.
    pub retention: Retention,
    /// This node.
    pub node: String,
}

/// Answers until the tasks are stopped, and drops what processes that were killed have left.
pub async fn serve(sources: Sources, tasks: Tasks) {
    let answering = async {
        loop {
            sources.link.connected().await;
            let client = sources.link.client();
            let subject = sources.names.projection_subject();
            match client.queue_subscribe(subject, GROUP.to_owned()).await {
                Ok(mut questions) => {
                    while let Some(question) = questions.next().await {
                        hear(&sources, question, &tasks).await;
                    }
                }
                Err(error) => tracing::debug!(%error, "nobody can ask for projections now"),
            }
            sleep(AGAIN).await;
        }
    };
    let serving = async { tokio::join!(clean_up(&sources.url), answering) };
    tasks.unless_stopped(Box::pin(serving)).await;
}

async fn clean_up(url: &str) {
    loop {
        match Rebuild::clean_up(url).await {
            Ok(left) if left.is_empty() => return,
            Ok(left) => {
                tracing::info!(?left, "what was left of projections being made anew is dropped");
                return;
            }
            Err(error) => tracing::debug!(%error, "what is left of others cannot be dropped yet"),
        }
        sleep(AGAIN).await;
    }
}

/// One after the other, which bounds them; what takes long goes on in a task of its own, one for each projection.
async fn hear(sources: &Sources, question: Message, tasks: &Tasks) {
    let answer = match serde_json::from_slice(&question.payload) {
        Ok(Ask::Rebuild {
            projection,
            verify,
            pace,
            actor,
        }) => begin(sources, &projection, (verify, pace, actor), tasks).await,
        Ok(Ask::Retry { projection, id }) => retried(sources, &projection, id.as_deref()).await,
        Err(error) => Answer::Failed {
            reason: format!("the question cannot be read: {error}"),
        },
    };
    let Some(reply) = question.reply else { return };
    let payload = serde_json::to_vec(&answer).unwrap_or_default();
    if let Err(error) = sources.link.client().publish(reply, payload.into()).await {
        tracing::debug!(%error, "an answer is not heard");
    }
}

async fn begin(
    sources: &Sources,
    projection: &str,
    (verify, pace, actor): (bool, Pace, String),
    tasks: &Tasks,
) -> Answer {
    let Some(projection) = Projection::named(projection) else {
        return Answer::Failed {
            reason: format!("there is no projection {projection:?}"),
        };
    };
    let asked = Asked {
        id: Uuid::now_v7().to_string(),
        verify,
        actor,
        node: sources.node.clone(),
    };
    let beginning = async {
        let Begun::Here(rebuild) = Rebuild::begin(&sources.url, projection, pace).await? else {
            return Ok(None);
        };
        let mut connection = connect(&sources.url).await?;
        asked.begin(&mut connection, projection.name).await?;
        Ok::<_, Error>(Some(rebuild))
    };
    match beginning.await {
        Ok(Some(rebuild)) => {
            let id = asked.id.clone();
            tracing::info!(
                projection = projection.name,
                verify,
                actor = asked.actor,
                "a projection is made anew"
            );
            let making = make(sources.clone(), projection, rebuild, asked);
            let until = tasks.clone();
            tasks.spawn(async move {
                until.unless_stopped(Box::pin(making)).await;
            });
            Answer::Begun { id }
        }
        Ok(None) => Answer::Busy,
        Err(error) => {
            tracing::warn!(projection = projection.name, %error, "a projection cannot be made anew");
            Answer::Failed {
                reason: error.without_values(),
            }
        }
    }
}

async fn make(sources: Sources, projection: &'static Projection, rebuild: Rebuild, asked: Asked) {
    let (progress, shown) = watch::channel(Progress {
        phase: Phase::Reading,
        done: 0,
        total: 0,
    });
    let mut stream = sources.of(projection.stream);
    let done = tokio::select! {
        done = Box::pin(rebuild.run(&mut stream, asked.verify, &progress)) => done,
        () = report(&sources.url, projection, &asked, shown) => return,
    };
    if let Err(error) = &done {
        tracing::warn!(projection = projection.name, %error, "a projection was not made anew");
    }
    loop {
        let ending = async {
            let mut connection = connect(&sources.url).await?;
            asked.end(&mut connection, projection.name, &done).await
        };
        match ending.await {
            Ok(()) => return,
            Err(error) => tracing::debug!(%error, "what became of it cannot be written down yet"),
        }
        sleep(AGAIN).await;
    }
}

/// Writes down how far it is, for as long as it is made.
async fn report(url: &str, projection: &'static Projection, asked: &Asked, shown: watch::Receiver<Progress>) {
    let (began, mut clock) = (Instant::now(), interval(REPORT_EVERY));
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut held = None;
    loop {
        clock.tick().await;
        let progress = *shown.borrow();
        let per_second = float(progress.done) / began.elapsed().as_secs_f64().max(0.001);
        let mut connection = match held.take() {
            Some(connection) => connection,
            None => match connect(url).await {
                Ok(connection) => connection,
                Err(_) => continue,
            },
        };
        let reporting = asked.progress(&mut connection, projection.name, (progress, per_second));
        if reporting.await.is_ok() {
            held = Some(connection);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate, for people")]
fn float(number: u64) -> f64 {
    number as f64
}

async fn retried(sources: &Sources, projection: &str, id: Option<&str>) -> Answer {
    if !PROJECTIONS
        .iter()
        .any(|known| known.name == projection && known.puts_aside())
    {
        return Answer::Failed {
            reason: format!("{projection} puts nothing aside: it stops at what it cannot apply"),
        };
    }
    match retry(&sources.url, id).await {
        Ok(retried) => Answer::Retried {
            applied: retried.applied,
            failed: retried.failed,
        },
        Err(error) => {
            tracing::warn!(projection, %error, "dead letters cannot be applied now");
            Answer::Failed {
                reason: error.without_values(),
            }
        }
    }
}

//! Does what an admin API asks of the projector: makes projections anew, and applies dead letters once more.

use std::{sync::Arc, time::Duration};

use async_nats::{Message, Subject};
use flexgate_projections::{
    Asked, Begun, Error, Pace, Phase, Progress, Projection, Rebuild, Retention, RetryError, connect, retry,
};
use futures_util::StreamExt as _;
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
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
/// How long the database may take until a projection is being made anew: shorter than whoever asks for it waits.
const BEGIN_WITHIN: Duration = Duration::from_secs(20);
/// How long it may take to drop what others have left.
const CLEAN_UP_WITHIN: Duration = Duration::from_hours(1);
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
    let retrying = Arc::new(Semaphore::new(1));
    let answering = async {
        loop {
            sources.link.connected().await;
            let client = sources.link.client();
            let subject = sources.names.projection_subject();
            match client.queue_subscribe(subject, GROUP.to_owned()).await {
                Ok(mut questions) => {
                    while let Some(question) = questions.next().await {
                        hear(&sources, question, &retrying, &tasks).await;
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
        match timeout(CLEAN_UP_WITHIN, Rebuild::clean_up(url)).await {
            Ok(Ok(left)) if left.is_empty() => return,
            Ok(Ok(left)) => {
                tracing::info!(?left, "what was left of projections being made anew is dropped");
                return;
            }
            Ok(Err(error)) => tracing::debug!(%error, "what is left of others cannot be dropped yet"),
            Err(_) => tracing::debug!("what is left of others is not dropped in time"),
        }
        sleep(AGAIN).await;
    }
}

/// One after the other, which bounds them; what takes long goes on in a task of its own: dead letters are applied by one at
/// a time, and there is one for each projection that is made anew.
async fn hear(sources: &Sources, question: Message, retrying: &Arc<Semaphore>, tasks: &Tasks) {
    let answer = match serde_json::from_slice(&question.payload) {
        Ok(Ask::Rebuild {
            projection,
            verify,
            pace,
            actor,
        }) => begin(sources, &projection, (verify, pace, actor), tasks).await,
        Ok(Ask::Retry { projection, id }) => match Arc::clone(retrying).try_acquire_owned() {
            Ok(turn) => {
                let (sources, until) = (sources.clone(), tasks.clone());
                let applying = async move {
                    let answer = retried(&sources, &projection, id.as_deref()).await;
                    drop(turn);
                    reply(&sources, question.reply, &answer).await;
                };
                tasks.spawn(async move {
                    until.unless_stopped(Box::pin(applying)).await;
                });
                return;
            }
            Err(_) => Answer::Busy,
        },
        Err(error) => Answer::Failed {
            reason: format!("the question cannot be read: {error}"),
        },
    };
    reply(sources, question.reply, &answer).await;
}

async fn reply(sources: &Sources, to: Option<Subject>, answer: &Answer) {
    let Some(to) = to else { return };
    let payload = serde_json::to_vec(answer).unwrap_or_default();
    if let Err(error) = sources.link.client().publish(to, payload.into()).await {
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
    let Ok(begun) = timeout(BEGIN_WITHIN, beginning).await else {
        return Answer::Unavailable {
            reason: "the database does not answer in time".to_owned(),
        };
    };
    match begun {
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
            unavailable(&error)
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
    if !Projection::named(projection).is_some_and(Projection::puts_aside) {
        return Answer::Failed {
            reason: format!("{projection} puts nothing aside: it stops at what it cannot apply"),
        };
    }
    let Ok(id) = id.map(str::parse).transpose() else {
        return Answer::NoLetter;
    };
    match retry(&sources.url, id).await {
        Ok(retried) => {
            if let Some(error) = &retried.stopped_by {
                tracing::warn!(projection, %error, "not all dead letters could be tried");
            }
            let failed = retried.failed.into_iter();
            Answer::Retried {
                applied: retried.applied,
                failed: failed.map(|(id, why)| (id.to_string(), why)).collect(),
            }
        }
        Err(RetryError::NoLetter(_)) => Answer::NoLetter,
        Err(RetryError::Busy) => Answer::Busy,
        Err(RetryError::Tables(error)) => {
            tracing::warn!(projection, %error, "dead letters cannot be applied now");
            unavailable(&error)
        }
    }
}

fn unavailable(error: &Error) -> Answer {
    Answer::Unavailable {
        reason: error.without_values(),
    }
}

//! What the API makes of the answers of whoever keeps the tables, and of none.

use std::time::Duration;

use flexgate::{
    journal::jetstream::{Link, Names},
    projectors::{Answer, Projectors},
};
use flexgate_schemas::admin::Deed;
use futures_util::StreamExt as _;
use serde_json::json;

use super::Api;
use crate::fixtures::{self, Nats, PATIENCE, Postgres};

const RETRY: &str = "/api/projections/outcomes/dead-letters/1728000000000000-1/retry";
const REBUILD: &str = "/api/projections/outcomes/rebuild";

/// An API, and a projector that answers every question with this; with nothing, if that is nothing.
async fn asking(answer: Option<String>, within: Duration) -> Api {
    let names = Names::new(&fixtures::prefix()).unwrap();
    let link = Link::open(Nats::shared_url().await, "test").await.unwrap();
    link.connected().await;
    let client = link.client().clone();
    let mut questions = client.subscribe(names.projection_subject()).await.unwrap();
    client.flush().await.unwrap();
    let projectors = Projectors::new(link, &names).answering_within(within);
    let api = Api::over_kept_tables(&Postgres::database().await, projectors).await;
    api.tasks.spawn(async move {
        while let Some(question) = questions.next().await {
            if let Some(answer) = answer.clone() {
                client
                    .publish(question.reply.unwrap(), answer.into())
                    .await
                    .unwrap();
            }
        }
    });
    api
}

#[tokio::test]
async fn what_the_projector_cannot_do_is_refused_as_what_it_is() {
    let told = |answer: Answer| serde_json::to_string(&answer).unwrap();
    let reason = || "as it is".to_owned();
    let answers = [
        (told(Answer::Busy), 409, "rebuilding"),
        (told(Answer::NoLetter), 404, "not_found"),
        (
            told(Answer::Unavailable { reason: reason() }),
            503,
            "database_unavailable",
        ),
        (
            told(Answer::Failed { reason: reason() }),
            409,
            "projector_refused",
        ),
        // What those before this version say.
        (json!({ "answer": "busy" }).to_string(), 409, "rebuilding"),
        (
            json!({ "answer": "failed", "reason": "no" }).to_string(),
            409,
            "projector_refused",
        ),
    ];
    for (answer, status, code) in answers {
        let api = asking(Some(answer), PATIENCE).await;
        for target in [RETRY, REBUILD] {
            api.post(target, json!({})).await.problem(status, code);
            if status < 500 {
                let sentence = format!("POST {target} refused: {code}");
                assert_eq!(api.told().await.deed.to_string(), sentence);
            }
        }
        assert!(api.told_nothing().await, "nothing was done");
    }
}

#[tokio::test]
async fn what_can_be_no_dead_letter_is_not_found_without_asking() {
    let api = asking(None, PATIENCE).await;
    for id in ["1", "a-b", "1-1-1", "%ff"] {
        let target = format!("/api/projections/outcomes/dead-letters/{id}/retry");
        api.post(&target, json!({})).await.problem(404, "not_found");
    }
    for target in [
        "/api/projections/nothing/rebuild",
        "/api/projections/%ff/dead-letters/retry",
    ] {
        api.post(target, json!({})).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn what_is_not_answered_in_time_may_be_done_and_is_told_so() {
    let api = asking(None, Duration::from_millis(50)).await;
    for target in [RETRY, REBUILD] {
        api.post(target, json!({})).await.problem(503, "projector_silent");
        let told = api.told().await;
        assert_eq!(
            told.deed.to_string(),
            format!("POST {target} may be done: projector_silent")
        );
        assert!(matches!(&told.deed, Deed::Done(call) if call.status == 503));
        assert_eq!(told.actor.unwrap().id.as_ref(), "admin");
    }
    assert!(api.told_nothing().await, "each once");
}

//! `flexgate verify`: whether everything that was recorded is somewhere.

use std::time::Duration;

use serde_json::json;

use super::{
    args::VerifyVerb,
    exit::{Exit, Failure},
    invocation::{Invocation, block_on},
};
use crate::{
    app,
    config::{Config, Purpose},
    journal::jetstream::{Link, Names},
    outcomes::{
        equation::Verdict,
        feed::Feed,
        verify::{VerifyError, verify},
    },
};

/// How long NATS may take to answer.
const NATS_WITHIN: Duration = Duration::from_secs(5);

pub(super) fn run(run: &Invocation, verb: &VerifyVerb) -> Result<Exit, Failure> {
    match verb {
        VerifyVerb::Outcomes(_) => outcomes(run),
    }
}

fn outcomes(run: &Invocation) -> Result<Exit, Failure> {
    let config = run.config(Purpose::Client)?;
    let verdict = block_on(look(&config))??;
    show(run, &verdict)?;
    Ok(if verdict.differences.is_empty() {
        Exit::Done
    } else {
        Exit::Differences
    })
}

async fn look(config: &Config) -> Result<Verdict, Failure> {
    let (database, nats) = (app::database_at_hand(config)?, app::nats_at_hand(config)?);
    let link = Link::open(&nats, "flexgate-verify")
        .await
        .map_err(app::Error::from)?;
    if tokio::time::timeout(NATS_WITHIN, link.connected()).await.is_err() {
        let says = format!("NATS at {} does not answer", link.server());
        return Err(Failure::new(Exit::Unreachable, says).next("start it, or correct NATS_URL"));
    }
    let names = Names::new(config.streams.as_str()).map_err(app::Error::from)?;
    let feed = Feed::new(link.clone(), &names);
    let verdict = verify(&database, &feed, &config.data_dir.join("outbox")).await;
    link.close().await;
    Ok(verdict?)
}

fn show(run: &Invocation, verdict: &Verdict) -> Result<Exit, Failure> {
    let differences: Vec<String> = verdict.differences.iter().map(ToString::to_string).collect();
    let at = verdict.whereabouts;
    if run.output.is_data() {
        return run
            .output
            .data(&json!({ "whereabouts": at, "differences": differences }));
    }
    run.output.pairs([
        ["recorded".to_owned(), at.recorded.to_string()],
        ["applied".to_owned(), at.applied.to_string()],
        ["on the stream".to_owned(), at.on_stream.to_string()],
        ["in the outbox".to_owned(), at.in_outbox.to_string()],
        ["missing".to_owned(), at.missing.to_string()],
    ])?;
    let summary = match differences.as_slice() {
        [] => "\nno differences".to_owned(),
        some => format!("\nwhat differs:\n  {}", some.join("\n  ")),
    };
    run.output.line(&summary)
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        let message = error.to_string();
        match error {
            VerifyError::Tables(error) => Self {
                message,
                ..Self::from(error)
            },
            VerifyError::Stream(_) => {
                Self::new(Exit::Unreachable, message).next("`flexgate doctor` looks at NATS and its streams")
            }
            VerifyError::Outbox(_) => {
                Self::new(Exit::Failed, message).next("run it as the user that runs FlexGate")
            }
        }
    }
}

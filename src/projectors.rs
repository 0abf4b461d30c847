//! What is asked of whoever keeps the read models, by an admin API that may be another process: over NATS, answered at once.
//!
//! A question is a message on one core subject, which one of the processes with the role projector takes. Nothing is stored:
//! what nobody hears is answered with "nobody keeps them", and what was begun shows in the tables.

use std::time::Duration;

use async_nats::RequestErrorKind;
use flexgate_projections::Pace;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::journal::jetstream::{Link, Names};

/// How long an answer may take. To retry many dead letters takes longest.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// To make a projection anew, or to compare it with what it would be.
    Rebuild {
        /// Which.
        projection: String,
        /// Whether it is only compared.
        verify: bool,
        /// How much of the time is spent on it.
        #[serde(default)]
        pace: Pace,
        /// Who asks.
        actor: String,
    },
    /// To apply once more what could not be applied.
    Retry {
        /// Of which projection.
        projection: String,
        /// Which dead letter; all of them unless said.
        id: Option<String>,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It is being made anew from now on.
    Begun {
        /// An id of this time.
        id: String,
    },
    /// It is being made anew already.
    Busy,
    /// What became of dead letters.
    Retried {
        /// How many were applied, and are dead no more.
        applied: u64,
        /// Those that could not be applied again, each with why.
        failed: Vec<(String, String)>,
    },
    /// It cannot be done.
    Failed {
        /// Why, in words that anybody may read.
        reason: String,
    },
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No process with the role projector and a database hears it.
    #[error("no process keeps the tables now: one with the role projector and a database is needed")]
    Nobody,
    /// NATS, or whoever heard it, did not answer.
    #[error("no answer from the projector in time")]
    Late,
}

/// Those who keep the read models, for who asks them.
#[derive(Debug, Clone)]
pub struct Projectors {
    link: Link,
    subject: String,
}

impl Projectors {
    /// Those of a cluster.
    pub fn new(link: Link, names: &Names) -> Self {
        Self {
            link,
            subject: names.projection_subject(),
        }
    }

    /// Asks one of them.
    pub async fn ask(&self, ask: &Ask) -> Result<Answer, AskError> {
        let payload = serde_json::to_vec(ask).map_err(|_| AskError::Late)?;
        let asking = self.link.client().request(self.subject.clone(), payload.into());
        let answer = timeout(ANSWER_WITHIN, asking).await.map_err(|_| AskError::Late)?;
        let answer = answer.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => AskError::Nobody,
            _ => AskError::Late,
        })?;
        serde_json::from_slice(&answer.payload).map_err(|_| AskError::Late)
    }
}

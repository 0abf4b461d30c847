//! Publishing an event to a stream that takes whatever comes.

use std::time::Duration;

use async_nats::HeaderMap;
use flexgate_schemas::envelope::Envelope;
use serde::Serialize;
use tokio::time::timeout;

use super::Link;

/// How long one publication may take.
const PUBLISH_WITHIN: Duration = Duration::from_secs(5);

impl Link {
    /// Publishes an event as JSON, under the id of its envelope: the stream keeps one of several with the same. Waits for a
    /// connection, and then for the acknowledgement, but not for long.
    pub async fn publish(
        &self,
        subject: String,
        envelope: &Envelope,
        event: &impl Serialize,
    ) -> Result<(), String> {
        self.connected().await;
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", &*envelope.id);
        for (name, value) in envelope.headers() {
            headers.insert(name, &*value);
        }
        let payload = serde_json::to_vec(event).map_err(|error| error.to_string())?;
        let publishing = async {
            let ack = self
                .jetstream()
                .publish_with_headers(subject, headers, payload.into())
                .await;
            ack.map_err(|error| error.to_string())?
                .await
                .map_err(|error| error.to_string())
        };
        timeout(PUBLISH_WITHIN, publishing)
            .await
            .map_err(|_| "no answer in time".to_owned())?
            .map(drop)
    }
}

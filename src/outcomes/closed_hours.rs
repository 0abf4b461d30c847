//! The stream ROLLUPS: what was counted in each hour, for the time when the frames are gone.

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use chrono::Utc;
use flexgate_projections::DueHour;
use flexgate_schemas::{Timestamp, rollup::ClosedHour};

use super::feed::in_time;
use crate::journal::{
    jetstream::{Content, Link, Names, Reader},
    store::StoreError,
};

/// How fast, and how well, closed hours are packed: there is one an hour.
const LEVEL: i32 = 9;
/// The most bytes that a part unpacks to.
const TEXT_BYTES_MAX: usize = 64 << 20;

/// The closed hours on their stream.
#[derive(Debug, Clone)]
pub struct ClosedHours {
    link: Link,
    names: Names,
}

impl ClosedHours {
    /// The stream need not exist yet.
    pub fn new(link: Link, names: Names) -> Self {
        Self { link, names }
    }

    /// Publishes an hour, part by part. Nobody else may publish meanwhile: each part is guarded by the sequence of the one
    /// before, so that a projector which was replaced cannot put an older version behind a newer one.
    pub async fn publish(&self, due: &DueHour) -> Result<(), StoreError> {
        let mut last = self.last_sequence().await?;
        for part in &due.parts {
            last = self.publish_part(part, last).await?;
        }
        Ok(())
    }

    /// The newest version of every hour: all parts of it.
    pub async fn newest(&self) -> Result<Vec<Vec<ClosedHour>>, StoreError> {
        let last = self.last_sequence().await?;
        let mut hours: BTreeMap<Timestamp, BTreeMap<u32, BTreeMap<u32, ClosedHour>>> = BTreeMap::new();
        if last > 0 {
            let stream = self.names.rollups();
            let mut reader = in_time(Reader::open(&self.link, &stream, 0, Content::Whole)).await??;
            loop {
                let stored = in_time(reader.next()).await??;
                match unpacked(&stored.message.payload) {
                    Ok(part) => {
                        let versions = hours.entry(part.hour).or_default();
                        versions.entry(part.version).or_default().insert(part.part, part);
                    }
                    Err(reason) => tracing::error!(sequence = stored.sequence, reason, "not a closed hour"),
                }
                if stored.sequence >= last {
                    break;
                }
            }
        }
        let is_whole =
            |parts: &BTreeMap<u32, ClosedHour>| parts.values().all(|part| part.parts as usize == parts.len());
        let newest = hours
            .into_values()
            .filter_map(|versions| versions.into_values().rev().find(is_whole));
        Ok(newest.map(|parts| parts.into_values().collect()).collect())
    }

    async fn last_sequence(&self) -> Result<u64, StoreError> {
        let stream = in_time(self.link.jetstream().get_stream(self.names.rollups())).await?;
        let stream = stream.map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(stream.cached_info().state.last_sequence)
    }

    async fn publish_part(&self, part: &ClosedHour, last: u64) -> Result<u64, StoreError> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Sequence", last.to_string());
        headers.insert("Content-Encoding", "zstd");
        for (name, value) in part.envelope(Utc::now().into()).headers() {
            headers.insert(name, &*value);
        }
        let failed = |error: &dyn std::fmt::Display| StoreError::Failed(error.to_string());
        let text = serde_json::to_vec(part).map_err(|error| failed(&error))?;
        let payload = zstd::bulk::compress(&text, LEVEL).map_err(|error| failed(&error))?;
        let subject = self.names.rollup_subject(&part.subject_token());
        let publishing = async {
            let sent = self
                .link
                .jetstream()
                .publish_with_headers(subject, headers, payload.into())
                .await;
            sent.map_err(|error| failed(&error))?
                .await
                .map_err(|error| failed(&error))
        };
        Ok(in_time(publishing).await??.sequence)
    }
}

fn unpacked(payload: &[u8]) -> Result<ClosedHour, String> {
    let text = zstd::bulk::decompress(payload, TEXT_BYTES_MAX).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}

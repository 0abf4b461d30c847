//! Making frames.

use std::io;

use zstd::bulk::Compressor;

use super::{Draft, PAYLOAD_BYTES_MAX, Run, Sealed, Source, TYPE};
use crate::{IdKey, Timestamp, envelope::Envelope};

/// The fastest level that is worth its time.
const LEVEL: i32 = 1;

/// Makes frames; keeps its buffers from one to the next.
pub struct Writer {
    compressor: Compressor<'static>,
    text: Vec<u8>,
}

impl Writer {
    /// An error means that there is no memory.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            compressor: Compressor::new(LEVEL)?,
            text: Vec::new(),
        })
    }

    /// The message of a draft's outcomes, whose source and id key these are. `None` if it does not fit: then half as many
    /// outcomes will. A single one always fits.
    pub fn seal(&mut self, source: Source, id_key: IdKey, draft: Draft<'_>) -> io::Result<Option<Sealed>> {
        let run = Run {
            source,
            id_key,
            first: draft.first(),
            count: draft.count(),
        };
        let headers = headers(&run, draft.rows(), draft.times());
        self.text.clear();
        serde_json::to_writer(&mut self.text, &draft.body(&run))?;
        let payload = self.compressor.compress(&self.text)?;
        let fits = payload.len() <= PAYLOAD_BYTES_MAX || run.count == 1;
        Ok(fits.then_some(Sealed { headers, payload }))
    }
}

fn headers(run: &Run, rows: u32, (from, to): (i64, i64)) -> Vec<(String, String)> {
    let time = |micros: i64| Timestamp::from_millis(micros / 1000).unwrap_or_default();
    let envelope = Envelope {
        id: run.to_string(),
        type_name: TYPE.to_owned(),
        source: format!("/nodes/{}", run.source.node),
        time: time(to),
        subject: None,
        auth: None,
        provenance: None,
    };
    let own = [
        ("Nats-Msg-Id", run.to_string()),
        ("Content-Encoding", "zstd".to_owned()),
        ("Flexgate-Boot", run.source.boot.to_string()),
        ("Flexgate-Core", run.source.core.to_string()),
        ("Flexgate-First", run.first.to_string()),
        ("Flexgate-Count", run.count.to_string()),
        ("Flexgate-Rows", rows.to_string()),
        ("Flexgate-From", time(from).to_string()),
        ("Flexgate-To", time(to).to_string()),
    ];
    let all = envelope.headers().into_iter().chain(own);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

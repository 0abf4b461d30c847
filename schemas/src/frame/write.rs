//! Making frames.

use std::io;

use zstd::bulk::Compressor;

use super::{Body, Column, PAYLOAD_BYTES_MAX, Run, Sealed, TYPE};
use crate::{
    Timestamp,
    envelope::Envelope,
    outcome::{LeftOut, Outcome},
};

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

    /// The message of a run. `rows` are those of its outcomes that have a row, in order; `left_out` counts the others.
    /// `None` if it does not fit: then half as many outcomes will. A single one always fits.
    pub fn seal(
        &mut self,
        run: &Run,
        rows: &[Outcome<'_>],
        left_out: Vec<LeftOut>,
    ) -> io::Result<Option<Sealed>> {
        self.text.clear();
        let times = times(rows, &left_out);
        serde_json::to_writer(&mut self.text, &body(run, rows, left_out))?;
        let payload = self.compressor.compress(&self.text)?;
        if payload.len() > PAYLOAD_BYTES_MAX && run.count > 1 {
            return Ok(None);
        }
        let headers = headers(run, rows.len(), times);
        Ok(Some(Sealed { headers, payload }))
    }
}

/// The first and the last arrival, in microseconds since 1970.
fn times(rows: &[Outcome<'_>], left_out: &[LeftOut]) -> (i64, i64) {
    let hours = left_out
        .iter()
        .map(|group| group.hour * crate::outcome::MICROS_PER_HOUR);
    let times = rows.iter().map(|row| row.at).chain(hours);
    times.clone().min().zip(times.max()).unwrap_or_default()
}

fn headers(run: &Run, rows: usize, (from, to): (i64, i64)) -> Vec<(String, String)> {
    let time = |micros: i64| Timestamp::from_millis(micros / 1000).unwrap_or_default();
    let envelope = Envelope {
        id: run.to_string(),
        type_name: TYPE.to_owned(),
        source: format!("/nodes/{}", run.source.node),
        time: time(to),
        subject: None,
        auth: None,
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

fn body<'a>(run: &Run, rows: &[Outcome<'a>], left_out: Vec<LeftOut>) -> Body<&'a str> {
    let each = || rows.iter();
    let place = |row: &Outcome<'_>| u32::try_from(row.counter - run.first).unwrap_or(u32::MAX);
    let from = rows.first().map_or(0, |row| row.at);
    let before = std::iter::once(from).chain(rows.iter().map(|row| row.at));
    let own = |row: &Outcome<'_>| {
        row.upstream_micros
            .map(|upstream| row.micros.saturating_sub(upstream))
    };
    Body {
        node: run.source.node.clone(),
        boot: run.source.boot.clone(),
        core: run.source.core,
        first: run.first,
        count: run.count,
        id_key: run.id_key,
        rows: u32::try_from(rows.len()).unwrap_or(u32::MAX),
        from,
        place: (rows.len() < run.count as usize).then(|| Column::measured(each().map(place))),
        arrival: Column::measured(
            each().map(|row| row.arrival.cast_signed().wrapping_sub(row.counter.cast_signed())),
        ),
        after: Column::measured(
            each()
                .zip(before)
                .map(|(row, before)| row.at.wrapping_sub(before)),
        ),
        generation: Column::coded(each().map(|row| row.generation)),
        revision: Column::coded(each().map(|row| row.revision)),
        route: Column::coded(each().map(|row| row.route)),
        upstream: Column::coded(each().map(|row| row.upstream)),
        target: Column::coded(each().map(|row| row.target)),
        method: Column::coded(each().map(|row| row.method)),
        host: Column::coded(each().map(|row| row.host)),
        path: Column::coded(each().map(|row| row.path)),
        query: Column::coded(each().map(|row| row.query)),
        status: Column::coded(each().map(|row| row.status)),
        refused: Column::coded(each().map(|row| row.refused)),
        error: Column::coded(each().map(|row| row.error)),
        attempts: Column::measured(each().map(|row| row.attempts)),
        micros: Column::measured(each().map(|row| row.micros)),
        own_micros: Column::measured(each().map(own)),
        bytes_in: Column::measured(each().map(|row| row.bytes_in)),
        bytes_out: Column::measured(each().map(|row| row.bytes_out)),
        key: Column::coded(each().map(|row| row.key)),
        client: Column::coded(each().map(|row| row.client)),
        user_agent: Column::coded(each().map(|row| row.user_agent)),
        correlation: Column::coded(each().map(|row| row.correlation)),
        trace: Column::coded(each().map(|row| row.trace)),
        matched: Column::coded(each().map(|row| row.matched)),
        left_out,
    }
}

//! Reading frames.

use uuid::Uuid;

use super::{OUTCOMES_MAX, Run, Sealed, Source, TEXT_BYTES_MAX, TYPE, Text, body::Read};
use crate::outcome::{LeftOut, Outcome};

/// Why a message is not a frame that this build can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not something that stands on this stream, or of a later version.
    #[error("its type is {0:?}; this build reads {TYPE}")]
    Type(String),
    /// Not packed as it should be, or far too much.
    #[error("it cannot be unpacked: {0}")]
    Packing(String),
    /// Not JSON, or not that of a frame.
    #[error("it cannot be read: {0}")]
    Syntax(String),
    /// It contradicts itself.
    #[error("its counts are wrong: {0}")]
    Counts(String),
    /// A number that no table can hold.
    #[error("{0} is out of range")]
    Range(&'static str),
}

/// The text of a frame.
#[derive(Debug)]
pub struct Opened {
    text: Vec<u8>,
    /// What the headers say: boot, core, first, count, rows.
    announced: [String; 5],
}

/// A frame that was read and checked.
#[derive(Debug)]
pub struct Frame<'a> {
    run: Run,
    times: Option<(i64, i64)>,
    body: Read<'a>,
}

impl Opened {
    /// Unpacks a message.
    pub fn new(message: &Sealed) -> Result<Self, FrameError> {
        let header = |name| message.header(name).unwrap_or_default();
        if header("ce-type") != TYPE {
            return Err(FrameError::Type(header("ce-type").to_owned()));
        }
        if header("Content-Encoding") != "zstd" {
            return Err(FrameError::Packing("its Content-Encoding is not zstd".to_owned()));
        }
        let unpacked = zstd::bulk::decompress(&message.payload, unpacked_size(&message.payload)?);
        let text = unpacked.map_err(|error| FrameError::Packing(error.to_string()))?;
        let names = [
            "Flexgate-Boot",
            "Flexgate-Core",
            "Flexgate-First",
            "Flexgate-Count",
            "Flexgate-Rows",
        ];
        Ok(Self {
            text,
            announced: names.map(|name| header(name).to_owned()),
        })
    }

    /// Reads it.
    pub fn read(&self) -> Result<Frame<'_>, FrameError> {
        let body: Read<'_> =
            serde_json::from_slice(&self.text).map_err(|error| FrameError::Syntax(error.to_string()))?;
        let run = Run {
            source: Source {
                node: body.node.clone(),
                boot: body.boot.clone(),
                core: body.core,
            },
            id_key: body.id_key,
            first: body.first,
            count: body.count,
        };
        check_counts(&body, &self.announced)?;
        check_ranges(&body)?;
        let times = times(&body)?;
        Ok(Frame { run, times, body })
    }
}

impl Frame<'_> {
    /// What it covers.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// What is counted of the outcomes without a row.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.body.left_out
    }

    /// The first and the last arrival in it, in microseconds since 1970; of outcomes without a row the hour counts.
    pub fn times(&self) -> Option<(i64, i64)> {
        self.times
    }

    /// How many outcomes have a row.
    pub fn row_count(&self) -> usize {
        self.body.rows as usize
    }

    /// The id of one of its outcomes.
    pub fn id(&self, outcome: &Outcome<'_>) -> Uuid {
        let millis = outcome.at.div_euclid(1000).max(0).cast_unsigned();
        self.run.id_key.id(self.run.source.core, outcome.arrival, millis)
    }

    /// Its rows, in the order in which they ended.
    pub fn rows(&self) -> impl Iterator<Item = Outcome<'_>> {
        let mut at = self.body.from;
        (0..self.row_count()).map_while(move |row| {
            at = at.wrapping_add(*self.body.after.at(row)?);
            self.row(row, at)
        })
    }

    /// Every column was seen to have a value for it.
    fn row(&self, row: usize, at: i64) -> Option<Outcome<'_>> {
        let body = &self.body;
        let place = match &body.place {
            Some(place) => *place.at(row)?,
            None => u32::try_from(row).ok()?,
        };
        let counter = body.first + u64::from(place);
        let micros = *body.micros.at(row)?;
        Some(Outcome {
            counter,
            arrival: counter.wrapping_add_signed(*body.arrival.at(row)?),
            at,
            generation: *body.generation.at(row)?,
            revision: *body.revision.at(row)?,
            route: text(body.route.at(row)?.as_ref()),
            upstream: text(body.upstream.at(row)?.as_ref()),
            target: text(body.target.at(row)?.as_ref()),
            method: &body.method.at(row)?.0,
            host: text(body.host.at(row)?.as_ref()),
            path: &body.path.at(row)?.0,
            query: text(body.query.at(row)?.as_ref()),
            status: *body.status.at(row)?,
            refused: text(body.refused.at(row)?.as_ref()),
            error: text(body.error.at(row)?.as_ref()),
            attempts: *body.attempts.at(row)?,
            micros,
            upstream_micros: body.own_micros.at(row)?.map(|own| micros.saturating_sub(own)),
            bytes_in: *body.bytes_in.at(row)?,
            bytes_out: *body.bytes_out.at(row)?,
            key: text(body.key.at(row)?.as_ref()),
            client: text(body.client.at(row)?.as_ref()),
            user_agent: text(body.user_agent.at(row)?.as_ref()),
            correlation: text(body.correlation.at(row)?.as_ref()),
            trace: text(body.trace.at(row)?.as_ref()),
            matched: text(body.matched.at(row)?.as_ref()),
        })
    }
}

fn text<'t>(text: Option<&'t Text<'_>>) -> Option<&'t str> {
    text.map(|text| &*text.0)
}

/// Known from the beginning of what our writers pack, so that a small message cannot demand a large memory.
fn unpacked_size(payload: &[u8]) -> Result<usize, FrameError> {
    let size = zstd::zstd_safe::get_frame_content_size(payload).ok().flatten();
    let size = size.and_then(|size| usize::try_from(size).ok());
    match size {
        Some(size) if size <= TEXT_BYTES_MAX => Ok(size),
        Some(size) => Err(FrameError::Packing(format!("{size} bytes are too many"))),
        None => Err(FrameError::Packing(
            "it is not a zstd frame of known size".to_owned(),
        )),
    }
}

fn check_counts(body: &Read<'_>, announced: &[String; 5]) -> Result<(), FrameError> {
    let wrong = |what: String| Err(FrameError::Counts(what));
    let said = [
        body.boot.to_string(),
        body.core.to_string(),
        body.first.to_string(),
        body.count.to_string(),
        body.rows.to_string(),
    ];
    if said != *announced {
        return wrong(format!("the headers say {announced:?}, the body {said:?}"));
    }
    let (rows, count) = (body.rows as usize, body.count as usize);
    if count == 0 || count > OUTCOMES_MAX || rows > count {
        return wrong(format!("{rows} rows of {count} outcomes"));
    }
    if !columns_fit(body, rows) {
        return wrong(format!("a column does not have {rows} rows"));
    }
    let places = || (0..rows).filter_map(|row| body.place.as_ref()?.at(row));
    let ascending = places()
        .zip(places().skip(1))
        .all(|(before, after)| before < after);
    let within = places().all(|place| *place < body.count);
    if body.place.is_none() && rows != count || !ascending || !within {
        return wrong(format!("the places of {rows} rows among {count} outcomes"));
    }
    let left_out = body.left_out.iter().map(|group| group.requests);
    let left_out = left_out.fold(0, u64::saturating_add);
    if left_out != u64::from(body.count - body.rows) {
        return wrong(format!("{rows} rows and {left_out} left out are not {count}"));
    }
    Ok(())
}

fn columns_fit(body: &Read<'_>, rows: usize) -> bool {
    let texts = [
        &body.route,
        &body.upstream,
        &body.target,
        &body.host,
        &body.query,
        &body.refused,
        &body.error,
        &body.key,
        &body.client,
        &body.user_agent,
        &body.correlation,
        &body.trace,
        &body.matched,
    ];
    let numbers = [
        &body.generation,
        &body.revision,
        &body.micros,
        &body.bytes_in,
        &body.bytes_out,
    ];
    texts.iter().all(|column| column.fits(rows))
        && numbers.iter().all(|column| column.fits(rows))
        && body.place.as_ref().is_none_or(|column| column.fits(rows))
        && body.arrival.fits(rows)
        && body.after.fits(rows)
        && body.method.fits(rows)
        && body.path.fits(rows)
        && body.status.fits(rows)
        && body.attempts.fits(rows)
        && body.own_micros.fits(rows)
}

/// Whatever is read is stored as signed 64-bit numbers and as points in time.
fn check_ranges(body: &Read<'_>) -> Result<(), FrameError> {
    let fits = |number: &u64| i64::try_from(*number).is_ok();
    let numbers = [
        ("generation", &body.generation),
        ("revision", &body.revision),
        ("micros", &body.micros),
        ("bytesIn", &body.bytes_in),
        ("bytesOut", &body.bytes_out),
    ];
    for (name, column) in numbers {
        if !column.values().iter().all(fits) {
            return Err(FrameError::Range(name));
        }
    }
    // Counters stay far below what a signed number holds, so that sums of them do too.
    if body.first >= 1 << 48 {
        return Err(FrameError::Range("first"));
    }
    if !body.attempts.values().iter().all(|attempts| *attempts <= 1000) {
        return Err(FrameError::Range("attempts"));
    }
    if !body
        .status
        .values()
        .iter()
        .flatten()
        .all(|status| (100..1000).contains(status))
    {
        return Err(FrameError::Range("status"));
    }
    let sums = body
        .left_out
        .iter()
        .flat_map(|group| [group.requests, group.errors, group.bytes_in, group.bytes_out]);
    if !sums.into_iter().all(|sum| fits(&sum)) {
        return Err(FrameError::Range("leftOut"));
    }
    Ok(())
}

/// See [`Frame::times`].
fn times(body: &Read<'_>) -> Result<Option<(i64, i64)>, FrameError> {
    // 1970 to 9999, which is what an RFC 3339 time can say.
    let in_time = |micros: i64| (0..253_402_300_800_000_000).contains(&micros);
    let mut times = None;
    let mut note = |at: i64, name| {
        if !in_time(at) {
            return Err(FrameError::Range(name));
        }
        let (first, last) = times.unwrap_or((at, at));
        times = Some((at.min(first), at.max(last)));
        Ok(())
    };
    let mut at = body.from;
    for row in 0..body.rows as usize {
        at = at.wrapping_add(body.after.at(row).copied().unwrap_or_default());
        note(at, "after")?;
    }
    for group in &body.left_out {
        note(group.hour.saturating_mul(crate::outcome::MICROS_PER_HOUR), "hour")?;
    }
    Ok(times)
}

//! Whether it is recorded what became of requests, how much of that may wait on this node's disk, and how long a projector
//! keeps it.

use flexgate_projections::Retention;
use flexgate_schemas::Size;

use super::reader::Reader;

/// How it is recorded what became of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recording {
    /// The most bytes that may wait on the disk until the stream has them.
    pub outbox_bytes: u64,
}

/// An hour without NATS at 1,000 requests/s is 3.6 million outcomes of about 190 bytes: 684 MB.
const OUTBOX_BYTES: u64 = 1 << 30;
/// What is worth being kept at all.
const BYTES_MIN: u64 = 16 << 20;

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Recording> {
    let switch = reader.find(&["FLEXGATE_RECORDING"]);
    let is_on = switch.and_then(|found| {
        reader.parse(found, |text| match text {
            "on" => Ok(true),
            "off" => Ok(false),
            other => Err(format!("{other:?} is neither `on` nor `off`")),
        })
    });
    let bytes = reader.find(&["FLEXGATE_OUTBOX_BYTES"]);
    let bytes = bytes.and_then(|found| reader.parse(found, size));
    is_on.unwrap_or(true).then_some(Recording {
        outbox_bytes: bytes.unwrap_or(OUTBOX_BYTES),
    })
}

/// How long the rows of requests are kept.
pub(super) fn retention(reader: &mut Reader<'_>) -> Retention {
    let default = Retention::default();
    let bytes = reader.find(&["FLEXGATE_REQUESTS_BYTES"]);
    let bytes = bytes.and_then(|found| reader.parse(found, size));
    Retention {
        days: reader.parsed("FLEXGATE_REQUESTS_DAYS").unwrap_or(default.days),
        bytes: bytes.unwrap_or(default.bytes),
    }
}

fn size(text: &str) -> Result<u64, String> {
    let bytes = text.parse::<Size>().map_err(|error| error.to_string())?.get();
    if bytes < BYTES_MIN {
        return Err(format!("{text:?} is too small: at least 16mb are needed"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_or_is_in_bytes_and_is_not_tiny() {
        assert_eq!(size("1gb"), Ok(1 << 30));
        assert_eq!(size("33554432"), Ok(32 << 20));
        for wrong in ["", "gb", "1tb", "-1", "1.5gb", "99999999999gb", "1kb"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}

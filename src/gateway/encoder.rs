//! Encoders of content codings, which write into memory.

use std::{
    cell::Cell,
    fmt,
    io::{self, Write},
    rc::Rc,
};

use brotli::{CompressorWriter, enc::BrotliEncoderParams};
use flate2::{Compression, write::GzEncoder};
use flexgate_schemas::compression::Coding;
use zstd::stream::{raw::CParameter, write::Encoder as ZstdEncoder};

/// How hard each tries, measured on JSON on one core: 76, 70 and 180 MB/s, to 16, 13 and 12 % of the size. Harder costs
/// twice the time for a tenth of what is left.
const GZIP_LEVEL: u32 = 5;
const BROTLI_QUALITY: i32 = 4;
const ZSTD_LEVEL: i32 = 3;
/// How far brotli and zstd look back, as a power of two. Further back memory grows faster than what is saved.
const WINDOW_BITS: u8 = 18;
/// What brotli hands on at once, in bytes.
const BROTLI_BUFFER_BYTES: usize = 4096;

/// The most encoders of a core. One has up to 2 MB; full: responses are passed on as they are, which is right for every
/// client.
const ENCODERS_MAX: usize = 128;

/// An encoder, and what came out of it. What comes in is never refused: it is written to memory.
pub(super) enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(ZstdEncoder<'static, Vec<u8>>),
}

impl Encoder {
    /// An encoder of this coding.
    pub(super) fn new(coding: Coding) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))),
            Coding::Br => {
                let parameters = BrotliEncoderParams {
                    quality: BROTLI_QUALITY,
                    lgwin: WINDOW_BITS.into(),
                    ..BrotliEncoderParams::default()
                };
                let writer = CompressorWriter::with_params(Vec::new(), BROTLI_BUFFER_BYTES, &parameters);
                Self::Brotli(Box::new(writer))
            }
            Coding::Zstd => {
                let mut encoder = ZstdEncoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.set_parameter(CParameter::WindowLog(WINDOW_BITS.into()))?;
                Self::Zstd(encoder)
            }
        })
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Gzip(encoder) => encoder,
            Self::Brotli(encoder) => encoder,
            Self::Zstd(encoder) => encoder,
        }
    }

    fn output(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        }
    }

    /// Takes a piece in.
    pub(super) fn write(&mut self, piece: &[u8]) {
        succeeds(self.writer().write_all(piece));
    }

    /// Brings out everything that was taken in.
    pub(super) fn flush(&mut self) {
        succeeds(self.writer().flush());
    }

    /// What came out, if that is at least so much.
    pub(super) fn take(&mut self, min_bytes: usize) -> Option<Vec<u8>> {
        let output = self.output();
        (output.len() >= min_bytes.max(1)).then(|| std::mem::take(output))
    }

    /// The rest of what comes out, with the end of the coding.
    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Gzip(encoder) => succeeds(encoder.finish()),
            Self::Brotli(encoder) => encoder.into_inner(),
            Self::Zstd(encoder) => succeeds(encoder.finish()),
        }
    }
}

/// An encoder fails if its memory cannot be had, where everything else fails too, or if what it writes to does.
fn succeeds<T>(result: io::Result<T>) -> T {
    result.expect("a vector takes every write")
}

impl fmt::Debug for Encoder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Gzip(_) => "Encoder(gzip)",
            Self::Brotli(_) => "Encoder(br)",
            Self::Zstd(_) => "Encoder(zstd)",
        })
    }
}

/// How many encoders a core has.
#[derive(Debug, Default)]
pub(super) struct Encoders(Rc<Cell<usize>>);

/// The right to one of them.
#[derive(Debug)]
pub(super) struct Slot(Rc<Cell<usize>>);

impl Encoders {
    /// One more, if there may be.
    pub(super) fn take(&self) -> Option<Slot> {
        let taken = self.0.get();
        (taken < ENCODERS_MAX).then(|| {
            self.0.set(taken + 1);
            Slot(Rc::clone(&self.0))
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_only_so_many_encoders() {
        let encoders = Encoders::default();
        let mut taken: Vec<_> = (0..ENCODERS_MAX).map(|_| encoders.take().unwrap()).collect();
        assert!(encoders.take().is_none());
        taken.pop();
        assert!(encoders.take().is_some());
    }
}

//! A sketch as the database has it: one number in base 10^16, each of whose digits is a count. Digit 0 counts zeros, digit
//! `i + 2` what is in bucket `i`.

use flexgate_schemas::Sketch;
use sqlx::{
    Decode, Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef, types::Oid},
};

/// `numeric`, as PostgreSQL numbers its types.
const NUMERIC: Oid = Oid(1700);
/// `numeric[]`.
const NUMERIC_ARRAY: Oid = Oid(1231);
/// PostgreSQL's own digits are in base 10^4: so many of them are one of ours.
const WORDS: usize = 4;
/// The largest count of a bucket.
const COUNT_MAX: u64 = 9_999_999_999_999_999;
/// The bytes before the digits: how many there are, the weight of the first, the sign, and the digits after the point.
const HEAD: usize = 8;

/// A sketch on its way to the database, or from there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stored(pub(crate) Sketch);

impl Type<Postgres> for Stored {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(NUMERIC)
    }
}

impl PgHasArrayType for Stored {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(NUMERIC_ARRAY)
    }
}

impl Encode<'_, Postgres> for Stored {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let zeros = Some((0, self.0.zeros())).filter(|(_, count)| *count > 0);
        let buckets = self.0.buckets().map(|(bucket, count)| (place(bucket), count));
        let digits: Vec<(usize, u64)> = zeros.into_iter().chain(buckets).collect();
        let (low, top) = match (digits.first(), digits.last()) {
            (Some((low, _)), Some((top, _))) => (*low, *top),
            _ => (1, 0), // no digits at all
        };
        let mut words = vec![0_u16; (top + 1 - low) * WORDS];
        for (digit, count) in digits {
            let mut rest = count.min(COUNT_MAX);
            for word in words[(top - digit) * WORDS..][..WORDS].iter_mut().rev() {
                *word = u16::try_from(rest % 10_000)?;
                rest /= 10_000;
            }
        }
        let weight = i16::try_from((top + 1) * WORDS)? - 1;
        buffer.extend(i16::try_from(words.len())?.to_be_bytes());
        buffer.extend(weight.to_be_bytes());
        buffer.extend([0; 4]);
        buffer.extend(words.into_iter().flat_map(u16::to_be_bytes));
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Stored {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        if value.format() != PgValueFormat::Binary {
            return Err("a sketch is read in binary form".into());
        }
        let bytes = value.as_bytes()?;
        let word = |at: usize| {
            bytes
                .get(at..at + 2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        };
        let short = || "a number ends too early";
        let (count, weight) = (word(0).ok_or_else(short)?, word(2).ok_or_else(short)?);
        let mut counts = std::collections::BTreeMap::<usize, u64>::new();
        for place in 0..usize::from(count) {
            let power = usize::from(weight)
                .checked_sub(place)
                .ok_or("a sketch is a whole number")?;
            let digit = u64::from(word(HEAD + 2 * place).ok_or_else(short)?);
            let scale = 10_000_u64.pow(u32::try_from(power % WORDS)?);
            *counts.entry(power / WORDS).or_default() += digit * scale;
        }
        let zeros = counts.remove(&0).unwrap_or_default();
        let bucket = |digit: usize| i16::try_from(digit).map(|digit| digit - 2);
        let buckets = counts
            .into_iter()
            .map(|(digit, count)| Ok((bucket(digit)?, count)));
        let buckets = buckets.collect::<Result<Vec<_>, BoxDynError>>()?;
        Ok(Self(Sketch::new(zeros, buckets)))
    }
}

/// The digit of a bucket; none is below that of 1.
fn place(bucket: i16) -> usize {
    usize::try_from(i32::from(bucket) + 2).unwrap_or_default()
}

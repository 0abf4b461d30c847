//! How long things took, in so few numbers that a year of it can be kept, and so that percentiles of any sum of them can
//! be had: the base-2 exponential histogram of OpenTelemetry, at scale 6.
//!
//! Counts are integers and merging is addition, so that whoever merges in whatever order gets the same bytes.

use serde::{Deserialize, Serialize};

/// Buckets per doubling, as a power of two: 64 of them, which bounds the relative error by 0.54 %.
const SCALE: u32 = 6;
/// Buckets per doubling.
const PER_DOUBLING: usize = 1 << SCALE;

/// `2^(k/64)` with 63 fractional bits, the upper bounds of the buckets of one doubling. All but the first are irrational, so
/// that no integer lies on them.
const BOUNDS: [u64; PER_DOUBLING] = bounds();

/// A histogram of unsigned integers.
///
/// Bucket `i` counts the values in `(2^(i/64), 2^((i+1)/64)]`; zeros are counted apart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Sparse", into = "Sparse")]
pub struct Sketch {
    zeros: u64,
    /// The bucket that `counts` begins with.
    first: i32,
    /// Neither begins nor ends with a zero.
    counts: Vec<u64>,
}

/// The written form: no more than there is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Sketch")]
pub struct Sparse {
    /// How many values were zero.
    #[serde(default, skip_serializing_if = "is_zero")]
    zeros: u64,
    /// Bucket and count, ascending; bucket `i` counts the values in `(2^(i/64), 2^((i+1)/64)]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    buckets: Vec<(i16, u64)>,
}

impl Sketch {
    /// What was counted: zeros, and how many values are in each of some buckets. Buckets that no value can be in count in
    /// the nearest that one can.
    pub fn new(zeros: u64, buckets: impl IntoIterator<Item = (i16, u64)>) -> Self {
        let mut sketch = Self {
            zeros,
            ..Self::default()
        };
        for (bucket, count) in buckets {
            sketch.add(bucket.clamp(Self::BUCKET_MIN, Self::BUCKET_MAX).into(), count);
        }
        sketch
    }

    /// The lowest bucket that a value can be in: that of 1.
    pub const BUCKET_MIN: i16 = -1;
    /// The highest bucket that a value can be in: that of 2^64 - 1.
    pub const BUCKET_MAX: i16 = 64 * 64 - 1;

    /// Counts a value.
    pub fn record(&mut self, value: u64) {
        match bucket_of(value) {
            Some(bucket) => self.add(bucket, 1),
            None => self.zeros = self.zeros.saturating_add(1),
        }
    }

    /// Counts everything that another one has counted.
    pub fn merge(&mut self, other: &Self) {
        self.zeros = self.zeros.saturating_add(other.zeros);
        for (bucket, count) in other.buckets() {
            self.add(i32::from(bucket), count);
        }
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.counts
            .iter()
            .fold(self.zeros, |sum, count| sum.saturating_add(*count))
    }

    /// How many values were zero.
    pub fn zeros(&self) -> u64 {
        self.zeros
    }

    /// The other values, by bucket, ascending; no count is zero.
    pub fn buckets(&self) -> impl Iterator<Item = (i16, u64)> + '_ {
        let bucket = |place: usize| {
            i16::try_from(self.first + i32::try_from(place).unwrap_or(i32::MAX)).unwrap_or(i16::MAX)
        };
        let counted = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counted.map(move |(place, count)| (bucket(place), *count))
    }

    /// The value below or at which a share `q` (0 to 1) of all values lie, by nearest rank, within 0.54 %; `None` of
    /// nothing.
    pub fn percentile(&self, q: f64) -> Option<f64> {
        let rank = rank(q, self.count())?;
        let mut seen = self.zeros;
        if rank <= seen {
            return Some(0.0);
        }
        let mut holds_it = |(_, count): &(i16, u64)| {
            seen = seen.saturating_add(*count);
            rank <= seen
        };
        self.buckets()
            .find(|bucket| holds_it(bucket))
            .map(|(bucket, _)| middle(bucket))
    }

    /// Callers keep `bucket` between [`Self::BUCKET_MIN`] and [`Self::BUCKET_MAX`], which bounds the memory.
    fn add(&mut self, bucket: i32, count: u64) {
        if count == 0 {
            return;
        }
        if self.counts.is_empty() {
            self.first = bucket;
        }
        if bucket < self.first {
            let missing = usize::try_from(self.first - bucket).unwrap_or_default();
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = bucket;
        }
        let place = usize::try_from(bucket - self.first).unwrap_or_default();
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] = self.counts[place].saturating_add(count);
    }
}

impl From<Sparse> for Sketch {
    fn from(Sparse { zeros, buckets }: Sparse) -> Self {
        Self::new(zeros, buckets)
    }
}

impl From<Sketch> for Sparse {
    fn from(sketch: Sketch) -> Self {
        Self {
            zeros: sketch.zeros,
            buckets: sketch.buckets().collect(),
        }
    }
}

impl schemars::JsonSchema for Sketch {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sketch".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Sparse::json_schema(generator)
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The bucket of a value; zero has none. Integers only, so that every machine says the same.
fn bucket_of(value: u64) -> Option<i32> {
    let exponent = value.checked_ilog2()?;
    let mantissa = value << (63 - exponent);
    let within = BOUNDS.partition_point(|bound| *bound < mantissa);
    let within = i32::try_from(within).unwrap_or_default();
    Some(i32::try_from(exponent << SCALE).unwrap_or_default() + within - 1)
}

/// The place of a percentile among so many values, from 1; `None` of none.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the rank of a percentile among more than 2^53 values may be one off"
)]
fn rank(q: f64, count: u64) -> Option<u64> {
    let rank = (q.clamp(0.0, 1.0) * count as f64).ceil() as u64;
    (count > 0).then(|| rank.clamp(1, count))
}

/// The number that is at most 0.54 % from everything in a bucket: the harmonic mean of its bounds.
fn middle(bucket: i16) -> f64 {
    let lower = (f64::from(bucket) / 64.0).exp2();
    let upper = (f64::from(bucket + 1) / 64.0).exp2();
    2.0 * lower * upper / (lower + upper)
}

/// Square roots of square roots: `2^(1/2)`, `2^(1/4)`, ... `2^(1/64)`, multiplied as the bits of `k` say.
const fn bounds() -> [u64; PER_DOUBLING] {
    let mut roots = [0u128; SCALE as usize];
    let mut square = 2u128 << 63;
    let mut i = 0;
    while i < roots.len() {
        square = (square << 63).isqrt();
        roots[i] = square;
        i += 1;
    }
    let mut bounds = [0; PER_DOUBLING];
    let mut k = 0;
    while k < PER_DOUBLING {
        let mut product = 1u128 << 63;
        let mut bit = 0;
        while bit < roots.len() {
            if k >> (roots.len() - 1 - bit) & 1 == 1 {
                product = (product * roots[bit]) >> 63;
            }
            bit += 1;
        }
        #[expect(clippy::cast_possible_truncation, reason = "every product is below 2^64")]
        {
            bounds[k] = product as u64;
        }
        k += 1;
    }
    bounds
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "tests compare with floats")]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn of(values: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        for value in values {
            sketch.record(*value);
        }
        sketch
    }

    fn bytes(sketch: &Sketch) -> String {
        serde_json::to_string(sketch).unwrap()
    }

    #[test]
    fn powers_of_two_are_the_upper_bounds_of_their_buckets() {
        assert_eq!(bucket_of(0), None);
        for exponent in 0..64 {
            let value = 1u64 << exponent;
            assert_eq!(bucket_of(value), Some(64 * exponent - 1), "{value}");
            assert!(bucket_of(value + 1).unwrap() >= 64 * exponent, "{value} + 1");
        }
        assert_eq!(bucket_of(u64::MAX), Some(Sketch::BUCKET_MAX.into()));
    }

    #[test]
    fn the_bounds_are_the_powers_that_they_stand_for() {
        for (k, bound) in BOUNDS.iter().enumerate() {
            let expected = (k as f64 / 64.0).exp2();
            let actual = *bound as f64 / (1u64 << 63) as f64;
            assert!(
                (expected - actual).abs() < 1e-15,
                "{k}: {actual} is not {expected}"
            );
        }
    }

    #[test]
    fn nothing_has_no_percentile_and_zeros_are_zero() {
        assert_eq!(Sketch::default().percentile(0.5), None);
        assert_eq!(of(&[0, 0, 0]).percentile(0.99), Some(0.0));
        assert_eq!(bytes(&Sketch::default()), "{}");
    }

    #[test]
    fn buckets_that_cannot_be_are_read_as_the_nearest_that_can() {
        let sketch: Sketch = serde_json::from_str(r#"{"buckets":[[-300,1],[32000,2]]}"#).unwrap();
        assert_eq!(sketch.buckets().collect::<Vec<_>>(), [(-1, 1), (4095, 2)]);
    }

    proptest! {
        #[test]
        fn a_percentile_is_within_its_error_of_the_exact_one(
            mut values in vec(prop_oneof![0u64..200, 0u64..1 << 40, any::<u64>()], 1..400),
            q in 0.0f64..=1.0,
        ) {
            let estimate = of(&values).percentile(q).unwrap();
            values.sort_unstable();
            let exact = values[usize::try_from(rank(q, values.len() as u64).unwrap()).unwrap() - 1] as f64;
            prop_assert!((estimate - exact).abs() <= exact * 0.005_416, "{estimate} for {exact}");
        }

        #[test]
        fn merging_in_any_order_gives_the_same_bytes(parts in vec(vec(any::<u64>(), 0..50), 1..8), rotate in 0usize..8) {
            let whole = of(&parts.concat());
            let mut others = parts.clone();
            others.rotate_left(rotate % parts.len());
            let mut merged = Sketch::default();
            for part in &others {
                merged.merge(&of(part));
            }
            prop_assert_eq!(bytes(&merged), bytes(&whole));
            prop_assert_eq!(serde_json::from_str::<Sketch>(&bytes(&whole)).unwrap(), whole);
        }
    }
}

//! Sketches in SQL say what sketches in Rust say.

use flexgate_schemas::Sketch;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng, seq::SliceRandom as _};
use sqlx::{Connection as _, PgConnection};

use crate::fixtures::Postgres;

/// From zeros, buckets and counts, by the definition of the type alone: digit 0 counts zeros, digit `i + 2` bucket `i`.
const SKETCH: &str = "
    SELECT ($1 + coalesce(sum(count * ('1e' || 16 * (bucket + 2))::numeric), 0))::text
    FROM unnest($2::smallint[], $3::bigint[]) AS held (bucket, count)";
const PERCENTILES: &str = "
    SELECT array_agg(flexgate.percentile($1::numeric, q) ORDER BY n) FROM unnest($2::float8[]) WITH ORDINALITY AS asked (q, n)";
const COUNT: &str = "SELECT flexgate.sketch_count($1::numeric)";
const BUCKETS: &str = "SELECT lower_us, upper_us, requests FROM flexgate.buckets($1::numeric)";
const MERGE: &str = "SELECT flexgate.merge(part::numeric ORDER BY n)::text FROM unnest($1::text[]) WITH ORDINALITY AS parts (part, n)";

#[tokio::test]
async fn percentiles_in_sql_are_those_in_rust() {
    let mut database = Sql::connect().await;
    let shares: Vec<f64> = (-1..=21)
        .map(|twentieth| f64::from(twentieth) / 20.0)
        .chain([0.99, 0.999])
        .collect();
    for sketch in sketches() {
        let number = database.number(&sketch).await;
        let there: Vec<Option<f64>> = sqlx::query_scalar(PERCENTILES)
            .bind(&number)
            .bind(&shares)
            .fetch_one(&mut database.0)
            .await
            .unwrap();
        for (q, there) in shares.iter().zip(there) {
            let here = sketch.percentile(*q);
            let agree = match (here, there) {
                (Some(here), Some(there)) => (here - there).abs() <= here * 1e-9,
                (here, there) => here == there,
            };
            assert!(agree, "{q}: {here:?} in Rust, {there:?} in SQL: {sketch:?}");
        }
    }
}

#[tokio::test]
async fn counts_and_buckets_in_sql_are_those_in_rust() {
    let mut database = Sql::connect().await;
    for sketch in sketches() {
        let number = database.number(&sketch).await;
        let count: i64 = sqlx::query_scalar(COUNT)
            .bind(&number)
            .fetch_one(&mut database.0)
            .await
            .unwrap();
        assert_eq!(u64::try_from(count).unwrap(), sketch.count());
        let there: Vec<(f64, f64, i64)> = sqlx::query_as(BUCKETS)
            .bind(&number)
            .fetch_all(&mut database.0)
            .await
            .unwrap();
        let bound = |bucket: i16| (f64::from(bucket) / 64.0).exp2();
        let zeros = (sketch.zeros() > 0).then(|| (0.0, 0.0, sketch.zeros()));
        let here = sketch
            .buckets()
            .map(|(bucket, count)| (bound(bucket), bound(bucket + 1), count));
        let here: Vec<_> = zeros.into_iter().chain(here).collect();
        assert_eq!(here.len(), there.len(), "{sketch:?}");
        for (here, there) in here.iter().zip(&there) {
            assert_eq!(here.2, u64::try_from(there.2).unwrap());
            let agree = |here: f64, there: f64| (here - there).abs() <= here * 1e-9;
            assert!(
                agree(here.0, there.0) && agree(here.1, there.1),
                "{here:?} {there:?}"
            );
        }
    }
}

#[tokio::test]
async fn merging_in_sql_in_any_order_is_merging_in_rust() {
    let (mut database, mut random) = (Sql::connect().await, SmallRng::seed_from_u64(6));
    let mut parts = sketches();
    let mut whole = Sketch::default();
    for part in &parts {
        whole.merge(part);
    }
    let expected = database.number(&whole).await;
    for _ in 0..5 {
        parts.shuffle(&mut random);
        let mut numbers = Vec::new();
        for part in &parts {
            numbers.push(database.number(part).await);
        }
        let merged: String = sqlx::query_scalar(MERGE)
            .bind(numbers)
            .fetch_one(&mut database.0)
            .await
            .unwrap();
        assert_eq!(merged, expected);
    }
}

/// Empty, of zeros alone, at both ends of what there is, and at random: narrow, wide, and with gaps.
fn sketches() -> Vec<Sketch> {
    let mut random = SmallRng::seed_from_u64(5);
    let (lowest, highest) = (Sketch::BUCKET_MIN, Sketch::BUCKET_MAX);
    let mut sketches = vec![
        Sketch::default(),
        Sketch::new(3, []),
        Sketch::new(0, [(lowest, 1)]),
        Sketch::new(0, [(highest, 7)]),
        Sketch::new(1, [(lowest, 2), (highest, 3)]),
        Sketch::new(0, [(5, 1_000_000_000_000_000), (6, 9_999)]),
    ];
    for _ in 0..60 {
        let begin = random.random_range(lowest..highest);
        let end = begin.saturating_add(random.random_range(1..600)).min(highest);
        let most = 10_u64.pow(random.random_range(0..13));
        let mut held: Vec<(i16, u64)> = (0..random.random_range(1..300))
            .map(|_| (random.random_range(begin..=end), random.random_range(1..=most)))
            .collect();
        held.push((random.random_range(lowest..=highest), most));
        sketches.push(Sketch::new(random.random_range(0..3), held));
    }
    sketches
}

/// A database to ask.
struct Sql(PgConnection);

impl Sql {
    async fn connect() -> Self {
        Self(PgConnection::connect(&Postgres::database().await).await.unwrap())
    }

    /// A sketch, as text.
    async fn number(&mut self, sketch: &Sketch) -> String {
        let (buckets, counts): (Vec<i16>, Vec<i64>) = sketch
            .buckets()
            .map(|(bucket, count)| (bucket, count.cast_signed()))
            .unzip();
        let number = sqlx::query_scalar(SKETCH)
            .bind(sketch.zeros().cast_signed())
            .bind(buckets)
            .bind(counts);
        number.fetch_one(&mut self.0).await.unwrap()
    }
}

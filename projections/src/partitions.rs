//! stub
use sqlx::{AssertSqlSafe, PgConnection};
use std::ops::RangeInclusive;
pub(crate) async fn ensure(
    connection: &mut PgConnection,
    times: RangeInclusive<i64>,
) -> Result<(), crate::Error> {
    let day = 86_400_000_000;
    for d in times.start().div_euclid(day)..=times.end().div_euclid(day) {
        let at = |d: i64| {
            chrono::DateTime::from_timestamp_micros(d * day)
                .unwrap_or_default()
                .format("%Y-%m-%d")
                .to_string()
        };
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS flexgate.requests_{} PARTITION OF flexgate.requests FOR VALUES FROM ('{}Z') TO ('{}Z')",
            at(d).replace('-', ""),
            at(d),
            at(d + 1)
        );
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection).await?;
    }
    Ok(())
}

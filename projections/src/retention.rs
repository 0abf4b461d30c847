//! stub
use sqlx::PgConnection;
/// stub
#[derive(Debug, Clone, Default)]
pub struct Retention;
pub(crate) async fn keep_house(
    _: &mut PgConnection,
    _: &Retention,
    _: chrono::DateTime<chrono::Utc>,
) -> Result<(), crate::Error> {
    Ok(())
}

//! One query, whatever it answers, as text: the simple protocol of PostgreSQL has every value as `psql` shows it.

use futures_util::TryStreamExt as _;
use serde_json::{Map, Value};
use sqlx::{
    AssertSqlSafe, Column as _, Connection as _, Either, Executor as _, Row as _, TypeInfo as _,
    ValueRef as _,
    postgres::{PgDatabaseError, PgErrorPosition, PgRow},
    raw_sql,
};

use crate::cli::{
    exit::{Exit, Failure},
    output::{Output, counted},
};

/// What a statement answered.
pub(super) struct Answer {
    /// The names of the columns, and of their types.
    columns: Vec<(String, String)>,
    /// Their values; none is null.
    rows: Vec<Vec<Option<String>>>,
    /// How many rows it touched or returned.
    touched: u64,
}

/// Runs the statements of a text, which are one transaction unless they say otherwise.
pub(super) async fn ask(url: &str, text: &str) -> Result<Vec<Answer>, Failure> {
    let mut connection = flexgate_projections::open(url).await?;
    connection
        .execute("SET search_path TO flexgate, public")
        .await
        .map_err(flexgate_projections::Error::from)?;
    // Whoever may start this program with the database's password may send it anything.
    let mut answering = raw_sql(AssertSqlSafe(text)).fetch_many(&mut connection);
    let (mut answers, mut rows) = (Vec::new(), Vec::new());
    while let Some(next) = answering.try_next().await.map_err(|error| refused(&error))? {
        match next {
            Either::Right(row) => rows.push(row),
            Either::Left(done) => answers.push(answer(&std::mem::take(&mut rows), done.rows_affected())?),
        }
    }
    drop(answering);
    // The answer is there, however the connection ends.
    let _ended = connection.close().await;
    Ok(answers)
}

fn answer(rows: &[PgRow], touched: u64) -> Result<Answer, Failure> {
    let columns = rows.first().map_or(&[][..], |row| row.columns());
    let values = |row: &PgRow| (0..row.len()).map(|column| value(row, column)).collect();
    Ok(Answer {
        columns: columns
            .iter()
            .map(|column| (column.name().to_owned(), column.type_info().name().to_owned()))
            .collect(),
        rows: rows
            .iter()
            .map(values)
            .collect::<Result<_, sqlx::Error>>()
            .map_err(|error| refused(&error))?,
        touched,
    })
}

fn value(row: &PgRow, column: usize) -> Result<Option<String>, sqlx::Error> {
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        return Ok(None);
    }
    let text = value.as_str().map_err(sqlx::Error::Decode)?;
    Ok(Some(text.to_owned()))
}

/// Prints what every statement answered; as JSON, the rows of all of them in one array.
pub(super) fn show(output: &Output, answers: &[Answer]) -> Result<Exit, Failure> {
    if output.is_data() {
        let rows: Vec<Value> = answers.iter().flat_map(Answer::objects).collect();
        return output.data(&rows);
    }
    for answer in answers {
        if answer.rows.is_empty() {
            let touched = usize::try_from(answer.touched).unwrap_or(usize::MAX);
            output.line(&counted(touched, "row"))?;
        } else {
            let header = answer.columns.iter().map(|(name, _)| name.clone());
            let plain = |row: &Vec<Option<String>>| {
                row.iter()
                    .map(|value| value.clone().unwrap_or_default())
                    .collect()
            };
            output.grid(header, answer.rows.iter().map(plain))?;
        }
    }
    Ok(Exit::Done)
}

impl Answer {
    /// Each row as an object. Of columns with one name the last is seen.
    fn objects(&self) -> impl Iterator<Item = Value> {
        self.rows.iter().map(|row| {
            let fields = self.columns.iter().zip(row);
            let fields = fields.map(|((name, kind), value)| (name.clone(), typed(kind, value.as_deref())));
            Value::Object(fields.collect::<Map<_, _>>())
        })
    }
}

/// A value as JSON has it: numbers, truth and JSON itself; everything else is the text that PostgreSQL shows.
fn typed(kind: &str, text: Option<&str>) -> Value {
    let Some(text) = text else { return Value::Null };
    let as_text = || Value::from(text);
    match kind {
        "BOOL" => Value::Bool(text == "t"),
        "INT2" | "INT4" | "INT8" | "FLOAT4" | "FLOAT8" | "JSON" | "JSONB" => {
            serde_json::from_str(text).unwrap_or_else(|_infinite| as_text())
        }
        _ => as_text(),
    }
}

/// What the database has against the query, with where in it, as far as it says.
fn refused(error: &sqlx::Error) -> Failure {
    let said = error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    let Some(said) = said else {
        return Failure::new(Exit::Unreachable, format!("the database: {error}"))
            .next("`flexgate doctor` looks at it");
    };
    let position = match said.position() {
        Some(PgErrorPosition::Original(position)) => format!(" (at character {position})"),
        _ => String::new(),
    };
    let detail = said.detail().map(|detail| format!("\n  {detail}"));
    let message = [said.message(), &position, &detail.unwrap_or_default()].concat();
    let failure = Failure::new(Exit::Failed, message);
    match said.hint() {
        Some(hint) => failure.next(hint),
        None => failure,
    }
}

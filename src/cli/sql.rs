//! `flexgate sql`: psql on the tables, or one query.

mod psql;
mod query;

use super::{
    args::Sql,
    exit::{Exit, Failure},
    invocation::{Invocation, block_on},
};
use crate::{app, config::Purpose};

pub(super) fn run(run: &Invocation, options: &Sql) -> Result<Exit, Failure> {
    let url = app::database_at_hand(&run.config(Purpose::Client)?)?;
    match &options.command {
        Some(query) => {
            let answers = block_on(query::ask(&url, query))??;
            query::show(&run.output, &answers)
        }
        None => Err(psql::become_it(&url, &options.words)),
    }
}

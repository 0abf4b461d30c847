//! `flexgate config`: what a process is told here, and by whom.

use serde_json::json;

use super::{
    exit::{Exit, Failure},
    invocation::Invocation,
};
use crate::config::{Config, OPTIONS, Purpose};

pub(super) fn show(run: &Invocation, effective: bool) -> Result<Exit, Failure> {
    if !effective {
        if run.output.is_data() {
            let item =
                OPTIONS.map(|one| json!({ "name": one.name, "default": one.default, "says": one.says }));
            return run.output.data(&item.as_slice());
        }
        let rows = OPTIONS.map(|one| [one.name, one.default, one.says].map(str::to_owned));
        return run.output.table(["OPTION", "DEFAULT", "WHAT IT IS"], rows);
    }
    let sources = run.sources();
    let config = Config::load(&sources, Purpose::Up { demo: false })?;
    run.output.findings(&config.warnings);
    let all = OPTIONS.map(|one| (one.name, one.effective(&sources, &config)));
    if run.output.is_data() {
        let item = all.map(|(name, found)| json!({ "name": name, "value": found.value, "from": found.from }));
        return run.output.data(&item.as_slice());
    }
    let rows = all.map(|(name, found)| [name.to_owned(), found.value, found.from]);
    run.output.table(["OPTION", "VALUE", "FROM"], rows)
}

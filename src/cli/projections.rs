//! `flexgate projections` and `flexgate replay`: the read models, making them anew, and what they have put aside.

use std::time::{Duration, Instant};

use http::Method;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    args::{ProjectionVerb, Replay},
    client::{AdminClient, Ask},
    entity::cell,
    exit::{Exit, Failure},
    invocation::Invocation,
};
use crate::config::escape;

const LIST: &str = "/api/projections";
/// How often it is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How often that is said where there is no terminal.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// How long dead letters may take.
const RETRY_WITHIN: Duration = Duration::from_secs(40);
const BAR: &str = "{prefix} {msg} [{bar:30}] {pos}/{len} {per_sec} {eta} left";

pub(super) fn run(run: &Invocation, verb: &ProjectionVerb) -> Result<Exit, Failure> {
    match verb {
        ProjectionVerb::List => list(run),
        ProjectionVerb::DeadLetters { projection } => letters(run, projection),
        ProjectionVerb::Retry { projection, id, .. } => retry(run, projection, id.as_deref()),
    }
}

fn list(run: &Invocation) -> Result<Exit, Failure> {
    let answer = run.with_admin(async |client| client.get(LIST).await)?;
    if run.output.is_data() {
        return run.output.data(&answer.body);
    }
    let number = |projection: &Value, name: &str| {
        let number = projection.get(name).and_then(Value::as_f64);
        number.map(|number| format!("{number:.1}")).unwrap_or_default()
    };
    let row = |projection: &Value| {
        [
            cell(projection, "name"),
            status(projection),
            cell(projection, "position"),
            cell(projection, "lagMessages"),
            number(projection, "lagSeconds"),
            number(projection, "perSecond"),
            cell(projection, "deadLetters"),
            cell(projection, "node"),
        ]
    };
    let projections = answer.body.as_array().into_iter().flatten().map(row);
    run.output.table(
        [
            "PROJECTION",
            "STATUS",
            "POSITION",
            "BEHIND",
            "SECONDS",
            "MSG/S",
            "DEAD",
            "NODE",
        ],
        projections,
    )
}

fn status(projection: &Value) -> String {
    let status = cell(projection, "status");
    let rebuild = &projection["rebuild"];
    match &*status {
        "rebuilding" => format!(
            "rebuilding: {} {}/{}",
            cell(rebuild, "phase"),
            cell(rebuild, "done"),
            cell(rebuild, "total")
        ),
        "stopped" => format!("stopped: {}", cell(projection, "reason")),
        _ => status,
    }
}

fn letters(run: &Invocation, projection: &str) -> Result<Exit, Failure> {
    let target = format!("{LIST}/{}/dead-letters", escape(projection));
    let answer = run.with_admin(async |client| client.get(&target).await)?;
    if run.output.is_data() {
        return run.output.data(&answer.body);
    }
    let row = |letter: &Value| ["id", "storedAt", "bytes", "error"].map(|name| cell(letter, name));
    let letters = answer.body.as_array().into_iter().flatten().map(row);
    run.output.table(["ID", "STORED", "BYTES", "ERROR"], letters)
}

fn retry(run: &Invocation, projection: &str, id: Option<&str>) -> Result<Exit, Failure> {
    let which = id.map(|id| format!("/{}", escape(id))).unwrap_or_default();
    let target = format!("{LIST}/{}/dead-letters{which}/retry", escape(projection));
    let ask = Ask::change(Method::POST, target).within(RETRY_WITHIN);
    let answer = run.with_admin(async |client| client.ask(ask).await)?;
    if run.output.is_data() {
        run.output.data(&answer.body)?;
    } else {
        run.output
            .line(&format!("{} applied", cell(&answer.body, "applied")))?;
    }
    let failed: Vec<_> = answer.body["failed"].as_array().into_iter().flatten().collect();
    for letter in &failed {
        run.output
            .warning(&format!("{}: {}", cell(letter, "id"), cell(letter, "error")));
    }
    Ok(if failed.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

pub(super) fn replay(run: &Invocation, replay: &Replay) -> Result<Exit, Failure> {
    let done = run.with_admin(async |client| {
        let names = if let Some(name) = &replay.projection {
            vec![name.clone()]
        } else {
            let all = client.get(LIST).await?;
            let all = all.body.as_array().into_iter().flatten();
            all.map(|projection| cell(projection, "name")).collect()
        };
        let mut done = Vec::new();
        for name in names {
            done.push(replayed(run, &client, &name, replay).await?);
        }
        Ok(done)
    })?;
    let is_same = |rebuilt: &Value| rebuilt["rebuild"]["result"]["same"] != Value::Bool(false);
    let same = done.iter().all(is_same);
    if run.output.is_data() {
        run.output.data(&done)?;
    } else {
        for rebuilt in &done {
            show(run, rebuilt, replay.verify)?;
        }
    }
    Ok(if same { Exit::Done } else { Exit::Differences })
}

/// Asks for it, and waits until it has ended.
async fn replayed(
    run: &Invocation,
    client: &AdminClient,
    name: &str,
    Replay { verify, pace, .. }: &Replay,
) -> Result<Value, Failure> {
    let target = format!("{LIST}/{}/rebuild?verify={verify}&pace={pace}", escape(name));
    let begun = client
        .ask(Ask::change(Method::POST, target).within(RETRY_WITHIN))
        .await?;
    let id = cell(&begun.body, "id");
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(BAR).expect("a template of this file"));
    bar.set_prefix(name.to_owned());
    let mut said = Instant::now();
    loop {
        let list = client.get(LIST).await?;
        let mut all = list.body.as_array().into_iter().flatten();
        let rebuild = all
            .find(|projection| cell(projection, "name") == name)
            .map(|projection| projection["rebuild"].clone())
            .unwrap_or_default();
        if cell(&rebuild, "id") != id {
            bar.finish_and_clear();
            let says = format!("{name} is being made anew by somebody else now");
            return Err(Failure::new(Exit::Conflict, says).next("`flexgate projections list` shows it"));
        }
        let count = |name: &str| rebuild[name].as_u64().unwrap_or_default();
        match &*cell(&rebuild, "phase") {
            "done" => {
                bar.finish_and_clear();
                return Ok(json!({ "projection": name, "rebuild": rebuild }));
            }
            "failed" => {
                bar.finish_and_clear();
                let says = format!("{name} was not made anew: {}", cell(&rebuild, "reason"));
                return Err(Failure::new(Exit::Failed, says)
                    .next("nothing has changed; the log of the projector may say more"));
            }
            phase => {
                bar.set_message(phase.to_owned());
                bar.set_length(count("total"));
                bar.set_position(count("done"));
                if bar.is_hidden() && said.elapsed() > SAY_EVERY {
                    said = Instant::now();
                    run.output
                        .note(&format!("{name} {phase} {}/{}", count("done"), count("total")));
                }
            }
        }
        sleep(ASK_EVERY).await;
    }
}

fn show(run: &Invocation, rebuilt: &Value, verify: bool) -> Result<Exit, Failure> {
    let name = cell(rebuilt, "projection");
    if !verify {
        return run.output.line(&format!("{name} is made anew"));
    }
    let result = &rebuilt["rebuild"]["result"];
    for table in result["tables"].as_array().into_iter().flatten() {
        let (table_name, hash) = (cell(table, "name"), cell(table, "hash"));
        let rows = cell(table, "rows");
        if table["same"] == Value::Bool(true) {
            let line = format!("{name}.{table_name}: the same, {rows} rows, {hash}");
            run.output.line(&line)?;
            continue;
        }
        let rebuilt_rows = cell(table, "rebuiltRows");
        let rebuilt_hash = cell(table, "rebuiltHash");
        run.output.line(&format!(
            "{name}.{table_name}: differs, {rows} rows, {hash}; made anew {rebuilt_rows} rows, {rebuilt_hash}"
        ))?;
        for row in table["differences"].as_array().into_iter().flatten() {
            let place = match &*cell(row, "isIn") {
                "live" => "only in the table",
                "rebuilt" => "missing in the table",
                _ => "other content",
            };
            run.output.line(&format!("  {}: {place}", cell(row, "key")))?;
        }
    }
    Ok(Exit::Done)
}

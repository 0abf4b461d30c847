//! `flexgate doctor`: examines this node and what it needs, line by line, and says how to mend what is wrong.

mod fix;
mod local;
mod remote;

use serde_json::json;

use super::{
    client::AdminClient,
    exit::{Exit, Failure},
    invocation::{Invocation, block_on},
};
use crate::config::{Config, Purpose};

/// What came of one examination.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Examined {
    what: &'static str,
    health: Health,
    says: String,
    mend: Option<String>,
}

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Ok,
    /// It works, less well than it could.
    Warn,
    /// Something here is wrong.
    Fail,
    /// Something elsewhere is wrong.
    Unreachable,
}

impl Examined {
    fn new(what: &'static str, health: Health, says: impl Into<String>) -> Self {
        Self {
            what,
            health,
            says: says.into(),
            mend: None,
        }
    }

    fn ok(what: &'static str, says: impl Into<String>) -> Self {
        Self::new(what, Health::Ok, says)
    }

    fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }
}

pub(super) fn examine(run: &Invocation, fix: bool) -> Result<Exit, Failure> {
    let config = run.config(Purpose::Client)?;
    if fix {
        for done in block_on(fix::mend(&config))? {
            run.output.note(&format!("mended: {done}"));
        }
    }
    let client = AdminClient::find(&config, &run.sources())?;
    let examined = block_on(everything(&config, &client))?;
    show(run, &examined)?;
    let worst = |health| examined.iter().any(|one| one.health == health);
    Ok(match (worst(Health::Unreachable), worst(Health::Fail)) {
        (true, _) => Exit::Unreachable,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Done,
    })
}

async fn everything(config: &Config, client: &AdminClient) -> Vec<Examined> {
    let mut all = vec![
        Examined::ok("settings", "read without a mistake"),
        local::data_dir(&config.data_dir),
        local::token(config),
        local::open_files(),
        local::disk(config),
    ];
    let (admin, nats, postgres, redis) = tokio::join!(
        remote::admin(client),
        remote::nats(config),
        remote::postgres(config),
        remote::redis(config),
    );
    let runs = admin.health == Health::Ok;
    all.extend(local::ports(config, runs));
    all.push(admin);
    all.extend(nats);
    all.extend(postgres);
    all.push(redis);
    all
}

fn show(run: &Invocation, examined: &[Examined]) -> Result<Exit, Failure> {
    if run.output.is_data() {
        let item = |one: &Examined| json!({ "what": one.what, "health": word(one.health), "says": one.says, "mend": one.mend });
        return run.output.data(&examined.iter().map(item).collect::<Vec<_>>());
    }
    for one in examined {
        run.output
            .line(&format!("{:<5} {:<11} {}", word(one.health), one.what, one.says))?;
        if let Some(mend) = &one.mend {
            run.output.line(&format!("{:<17} -> {mend}", ""))?;
        }
    }
    Ok(Exit::Done)
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Ok => "OK",
        Health::Warn => "WARN",
        Health::Fail | Health::Unreachable => "FAIL",
    }
}

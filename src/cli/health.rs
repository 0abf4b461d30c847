//! `flexgate health`: asks the process of this data folder how it is. For whoever runs it in a container, where there is
//! neither curl nor a port to be known in advance.

use std::time::Duration;

use http::Method;

use super::{
    args::Probe,
    client::{AdminClient, Ask},
    exit::{Exit, Failure},
    invocation::{Invocation, block_on},
};
use crate::config::{Purpose, RunRecord};

/// Below what probes are given as a rule, so that it is us who say why.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Everything but health is 1: of the codes that conventions know, container engines reserve 2 and read the rest as 1.
pub(super) fn ask(run: &Invocation, probe: Probe) -> Result<Exit, Failure> {
    let folder = run.config(Purpose::Client)?.data_dir;
    let ill = |why: String| Failure::new(Exit::Failed, why);
    let record = RunRecord::read(&folder).map_err(|error| ill(format!("run.json: {error}")))?;
    let Some(address) = record.as_ref().and_then(RunRecord::health) else {
        return Err(ill(format!("nothing runs in {}", folder.display()))
            .next("name the folder of a running process with --data-dir"));
    };
    let (path, name) = match probe {
        Probe::Live => ("/health/live", "live"),
        Probe::Ready => ("/health/ready", "ready"),
    };
    let asking = async {
        let client = AdminClient::without_token(address);
        client
            .answer(Ask::new(Method::GET, path).within(ANSWER_WITHIN))
            .await
    };
    let Ok(answer) = block_on(asking)? else {
        return Err(ill(format!(
            "the process of {} does not answer at {address}",
            folder.display()
        )));
    };
    if !answer.status.is_success() {
        let reason = answer.body["reason"].as_str().unwrap_or("it does not say why");
        return Err(ill(format!("it is not {name}: {reason}")));
    }
    if run.output.is_data() {
        return run.output.data(&answer.body);
    }
    run.output.line(name)
}

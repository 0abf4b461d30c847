//! `flexgate secrets`: keys, and secrets sealed with them. Talks to no process: neither needs to leave this machine.

use std::io::{self, IsTerminal, Read};

use flexgate_schemas::{Secret, secret::Purpose};

use super::{
    args::{Sealing, SecretVerb},
    exit::{Exit, Failure},
    invocation::Invocation,
};
use crate::{config, sealing::SealingKeys};

/// The longest secret, in bytes, and one more to notice a longer one.
const READ_MAX: u64 = 64 * 1024 + 1;

pub(super) fn run(run: &Invocation, verb: &SecretVerb) -> Result<Exit, Failure> {
    match verb {
        SecretVerb::Key => {
            let key = SealingKeys::make();
            run.output
                .line(&key.ok_or_else(|| failed("the system gave no random bytes"))?)
        }
        SecretVerb::Seal(sealing) => seal(run, sealing),
    }
}

fn seal(run: &Invocation, sealing: &Sealing) -> Result<Exit, Failure> {
    let keys = config::sealing_keys(&run.sources())?.ok_or_else(|| {
        Failure::new(Exit::Invalid, "there is no key to seal with")
            .next("set FLEXGATE_SECRET_KEY to what `flexgate secrets key` prints, here and on every node")
    })?;
    if io::stdin().is_terminal() {
        run.output.note("type the secret, then Ctrl-D:");
    }
    let mut secret = String::new();
    let read = io::stdin().lock().take(READ_MAX).read_to_string(&mut secret);
    read.map_err(|error| failed(format!("the secret cannot be read from stdin: {error}")))?;
    let secret = secret.trim_end_matches(['\r', '\n']);
    let sealed = keys
        .seal(secret, Purpose::from(&sealing.purpose))
        .map_err(|error| Failure::new(Exit::Invalid, error.to_string()))?;
    run.output.line(&Secret::Sealed(sealed).to_string())
}

fn failed(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Failed, message)
}

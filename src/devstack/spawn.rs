//! How a child is forked, so that it ends when we do and not before.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};

use tokio::sync::oneshot;

type Order = (Command, oneshot::Sender<io::Result<Child>>);

/// A command that gets SIGINT when we die, even by SIGKILL. `account` is what changes the user and stands before
/// everything else: such a change would clear the death signal.
///
/// The child is in a process group of its own, so that Ctrl-C in the terminal reaches us alone and we stop our
/// children after what uses them.
pub(super) fn command(account: &[&str], program: &Path) -> Command {
    let mut words = account
        .iter()
        .chain(death_signal())
        .map(OsStr::new)
        .chain([program.as_os_str()]);
    let mut command = Command::new(words.next().unwrap_or_default());
    // Locales that are not installed make PostgreSQL refuse to start.
    command
        .args(words)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .process_group(0);
    command
}

/// The kernel sends the death signal when the *thread* that forked ends. So one that never ends forks them all.
pub(super) async fn spawn(command: Command) -> io::Result<Child> {
    static FORKER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let forker = FORKER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel();
        std::thread::spawn(move || fork_all(&inbox));
        orders
    });

    let (reply, child) = oneshot::channel();
    forker.send((command, reply)).map_err(io::Error::other)?;
    child.await.map_err(io::Error::other)?
}

fn fork_all(inbox: &mpsc::Receiver<Order>) {
    for (mut command, reply) in inbox {
        // Nobody waits for it any more: it must not run on unowned.
        if let Err(Ok(mut child)) = reply.send(command.spawn()) {
            let _killed = child.kill().and_then(|()| child.wait());
        }
    }
}

/// The prefix that asks for the death signal; empty where there is none (macOS, a minimal container). Then the next
/// start finds what was left over.
fn death_signal() -> &'static [&'static str] {
    const SETPRIV: &[&str] = &["setpriv", "--pdeathsig", "INT", "--"];
    static WORKS: OnceLock<bool> = OnceLock::new();
    let works = WORKS.get_or_init(|| {
        let mut trial = Command::new(SETPRIV[0]);
        trial
            .args(&SETPRIV[1..])
            .arg("true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        trial.status().is_ok_and(|status| status.success())
    });
    if *works { SETPRIV } else { &[] }
}

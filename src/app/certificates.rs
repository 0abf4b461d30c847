//! Certificates of the data plane that are replaced on the disk are taken up without a restart.

use std::{os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use metrics::counter;
use tokio::{task::spawn_blocking, time::sleep};

use crate::{
    config::tls::Tls,
    drain::Tasks,
    gateway::{InboundTls, TlsFilesError, TlsListen},
};

/// How often the files are looked at. They change every few weeks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What changes when a file is replaced or written again: which one it is, how long, and since when. None if it is gone.
type Look = Option<(u64, u64, i64, i64)>;

/// Where TLS is spoken with clients, if it is. Its certificates are kept up to date until the tasks are stopped.
pub(super) fn listen(tls: Option<&Tls>, tasks: &Tasks) -> Result<Option<TlsListen>, TlsFilesError> {
    let Some(tls) = tls else { return Ok(None) };
    let inbound = InboundTls::load(tls.files.clone())?;
    tasks.spawn(keep(inbound.clone(), tasks.clone()));
    Ok(Some(TlsListen {
        addr: tls.addr,
        tls: inbound,
    }))
}

/// Looks at the files, and reads them again when one has changed. While they do not go together, as between the
/// replacement of a certificate and that of its key, the last good ones stay, and it is tried again at every look.
async fn keep(tls: InboundTls, tasks: Tasks) {
    let mut seen = None;
    let mut failing = false;
    loop {
        let held = tls.clone();
        let before = seen.take();
        let look = spawn_blocking(move || {
            let now = looks(&held);
            let is_changed = before.as_ref().is_some_and(|before| *before != now) || failing;
            (is_changed.then(|| held.reload()), now)
        });
        let Ok((reloaded, now)) = look.await else {
            return; // the runtime is ending
        };
        seen = Some(now);
        match reloaded {
            None => {}
            Some(Ok(())) => {
                failing = false;
                counter!("flexgate_tls_reloads_total", "result" => "ok").increment(1);
                tracing::info!(
                    "the certificates of the data plane have changed: new connections are shown the new ones"
                );
            }
            Some(Err(_)) if failing => {}
            Some(Err(error)) => {
                failing = true;
                counter!("flexgate_tls_reloads_total", "result" => "failed").increment(1);
                tracing::error!(%error, "the certificates of the data plane have changed and cannot be used: the last good ones stay");
            }
        }
        if tasks.unless_stopped(sleep(LOOK_EVERY)).await.is_none() {
            return;
        }
    }
}

fn looks(tls: &InboundTls) -> Vec<Look> {
    tls.paths().iter().map(|path| look(path)).collect()
}

fn look(path: &Path) -> Look {
    let found = path.metadata().ok()?;
    Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

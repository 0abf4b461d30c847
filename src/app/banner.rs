//! What `up` says last: where everything is, and one line that works.

use std::io::Write as _;

use super::{Demo, Process};
use crate::config::{AdminToken, Config};

/// Prints it. A terminal that is gone is no reason to stop.
pub(super) fn print(config: &Config, process: &Process, demo: Option<&Demo>, degraded: &[String]) {
    let addresses = process.addresses();
    let token = match config.admin_token {
        Some(_) => "FLEXGATE_ADMIN_TOKEN".to_owned(),
        None => AdminToken::path(&config.data_dir).display().to_string(),
    };
    let mut lines = Vec::new();
    for line in degraded {
        lines.push(format!("  ! {line}"));
    }
    lines.push(String::new());
    lines.extend(
        addresses
            .proxy
            .map(|addr| format!("  proxy        http://{addr}")),
    );
    lines.extend(
        addresses
            .proxy_tls
            .map(|addr| format!("  with TLS     https://{addr}")),
    );
    lines.extend(
        addresses
            .admin
            .map(|addr| format!("  admin API    http://{addr}/api/routes")),
    );
    lines.push(format!("  admin token  {token}"));
    lines.extend(demo.map(|demo| format!("  demo backend http://{}", demo.addr())));
    // Only the demo's route is known to lead somewhere.
    if let (Some(addr), Some(_)) = (addresses.proxy, demo) {
        lines.push(String::new());
        lines.push(format!("  try          curl -i http://{addr}/demo/hello"));
    }
    lines.push(String::new());
    let mut out = std::io::stdout().lock();
    let _printed = writeln!(out, "{}", lines.join("\n")).and_then(|()| out.flush());
}

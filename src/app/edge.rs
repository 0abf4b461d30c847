//! The listener beside the data plane: the admin API, or health and metrics.

use std::{io, net::SocketAddr, time::Duration};

use axum::Router;
use flexgate_projections::Tables;
use tokio::net::TcpListener;

use super::{Endpoints, Error, cluster::Cluster, process::VERSION};
use crate::{
    admin::{self, Admin, Metrics, Token},
    config::{AdminToken, Config},
    drain::Tasks,
    health::Health,
    journal::Journal,
    listener, ops,
    outcomes::feed::Feed,
    projectors::Projectors,
};

/// The pause before a port is tried again that a draining process still has.
const BIND_AGAIN: Duration = Duration::from_millis(50);

/// What a listener is for, and what moves it elsewhere.
#[derive(Clone, Copy)]
struct Purpose {
    what: &'static str,
    variable: &'static str,
}

const ADMIN: Purpose = Purpose {
    what: "the admin API",
    variable: "FLEXGATE_ADMIN_ADDR",
};
const OPS: Purpose = Purpose {
    what: "health and metrics",
    variable: "FLEXGATE_OPS_ADDR",
};

/// Serves what the roles of this process ask for, and says where.
pub(super) async fn serve(
    (config, endpoints): (&Config, &Endpoints),
    (journal, cluster, health): (&Journal, &Cluster, &Health),
    metrics: Metrics,
    (edge, takes_over): (&Tasks, bool),
) -> Result<SocketAddr, Error> {
    if config.roles.admin {
        let router = admin_router((config, endpoints), (journal, cluster, health), metrics, edge)?;
        listen(config.listen.admin, ADMIN, router, (edge, takes_over)).await
    } else {
        let router = ops::router(health.clone(), metrics);
        listen(config.listen.ops, OPS, router, (edge, takes_over)).await
    }
}

/// Serves on an address. While a process that drains still has it, that is tried until it has gone: the data plane does
/// not wait for that.
async fn listen(
    wanted: SocketAddr,
    Purpose { what, variable }: Purpose,
    router: Router,
    (edge, takes_over): (&Tasks, bool),
) -> Result<SocketAddr, Error> {
    let failed = |error| Error::Listen {
        addr: wanted,
        what,
        error,
        variable,
    };
    let tasks = edge.clone();
    let listener = match TcpListener::bind(wanted).await {
        Err(error) if takes_over && error.kind() == io::ErrorKind::AddrInUse => {
            tracing::info!(%wanted, what, "still in use by the process that drains");
            edge.spawn(async move {
                let binding = async {
                    loop {
                        tokio::time::sleep(BIND_AGAIN).await;
                        if let Ok(listener) = TcpListener::bind(wanted).await {
                            return listener;
                        }
                    }
                };
                if let Some(listener) = tasks.unless_stopped(binding).await {
                    listener::serve(listener, router, &tasks).await;
                }
            });
            return Ok(wanted);
        }
        bound => bound.map_err(failed)?,
    };
    let bound = listener.local_addr().map_err(failed)?;
    edge.spawn(async move { listener::serve(listener, router, &tasks).await });
    Ok(bound)
}

fn admin_router(
    (config, endpoints): (&Config, &Endpoints),
    (journal, cluster, health): (&Journal, &Cluster, &Health),
    metrics: Metrics,
    edge: &Tasks,
) -> Result<Router, Error> {
    Ok(admin::router(Admin {
        journal: journal.clone(),
        members: cluster.members.clone(),
        audit: cluster.audit.clone(),
        admin_events: Some(Feed::of_admin_events(cluster.link.clone(), &cluster.names)),
        health: health.clone(),
        sealing: config.sealing.clone(),
        tables: endpoints.database.as_deref().and_then(tables),
        token: admin_token(config)?,
        projectors: Some(Projectors::new(cluster.link.clone(), &cluster.names)),
        metrics,
        version: VERSION,
        tasks: edge.clone(),
    }))
}

/// Without them the log itself is read.
fn tables(url: &str) -> Option<Tables> {
    let tables = Tables::new(url).inspect_err(|error| tracing::error!(%error, "the tables cannot be asked"));
    tables.ok()
}

fn admin_token(config: &Config) -> Result<Token, Error> {
    if let Some(token) = &config.admin_token {
        return Ok(Token::new(token.expose(), "FLEXGATE_ADMIN_TOKEN"));
    }
    let (token, _made) = AdminToken::obtain(&config.data_dir)?;
    Ok(Token::new(
        token.expose(),
        &AdminToken::path(&config.data_dir).display().to_string(),
    ))
}

//! `flexgate doctor --fix`: what is mended without anybody having to think about it. Nothing that is there is taken away.

use std::{
    fs::{self, DirBuilder, Permissions},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
};

use crate::{
    config::{AdminToken, Config},
    journal::jetstream::{
        Link, Names,
        streams::{StreamFound, examine, provision},
    },
};

use super::remote::in_time;

/// Mends what can be mended, and says each thing that was done. What cannot be is found by the examination that follows.
pub(super) async fn mend(config: &Config) -> Vec<String> {
    let mut done = Vec::new();
    done.extend(folder(config));
    done.extend(token(config));
    done.extend(streams(config).await);
    done.extend(tables(config).await);
    done
}

fn folder(config: &Config) -> Option<String> {
    let path = &config.data_dir;
    if path.exists() {
        return None;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path).ok()?;
    Some(format!("the data folder {} is made", path.display()))
}

fn token(config: &Config) -> Option<String> {
    let path = AdminToken::path(&config.data_dir);
    let mode = fs::metadata(&path).ok()?.permissions().mode();
    let for_others = mode & 0o077;
    if for_others == 0 {
        return None;
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).ok()?;
    Some(format!(
        "{} is closed to others; if one of them may have read it, delete it and restart for a new one",
        path.display()
    ))
}

/// Streams of a single server. How often they are stored in a cluster is for an operator to say.
async fn streams(config: &Config) -> Option<String> {
    let url = config.servers.nats.as_ref()?;
    let link = Link::open(url.expose(), "flexgate-doctor").await.ok()?;
    let names = Names::new(config.streams.as_str()).ok()?;
    let made = in_time(async {
        link.connected().await;
        let clustered = link.client().server_info().connect_urls.len() > 1;
        let found = examine(link.jetstream(), &names).await;
        let missing: Vec<_> = found
            .into_iter()
            .filter(|(_, is)| *is == StreamFound::Missing)
            .map(|(name, _)| name)
            .collect();
        if clustered || missing.is_empty() {
            return Ok::<_, String>(None);
        }
        provision(&link, &names, 1)
            .await
            .map_err(|error| error.to_string())?;
        Ok(Some(format!("these streams are made: {}", missing.join(", "))))
    });
    let made = made.await.ok().flatten();
    link.close().await;
    made
}

async fn tables(config: &Config) -> Option<String> {
    let url = config.servers.postgres.as_ref()?;
    let ran = in_time(flexgate_projections::migrate(url.expose())).await.ok()?;
    let names: Vec<String> = ran.iter().map(ToString::to_string).collect();
    (!names.is_empty()).then(|| format!("these migrations ran: {}", names.join(", ")))
}

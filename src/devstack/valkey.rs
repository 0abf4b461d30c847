//! Valkey, or Redis: the rate-limit budgets that gateways share. Losing them opens a new window, so nothing is stored.

use std::fs;

use super::error::{self, DevstackError};
use super::launch::{Launch, Protocol};
use super::password;
use super::server::ServerOptions;

/// Writes the configuration: on the command line the password would be visible to `ps`.
pub(super) fn launch(options: &ServerOptions) -> Result<Launch, DevstackError> {
    let home = options.data_dir.join("valkey");
    fs::create_dir_all(&home).map_err(error::io("create", &home))?;
    let port = options.port()?;
    let password = password::read_or_create(&options.data_dir)?;

    let configuration = format!(
        "bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave \"\"\nappendonly no\ndaemonize no\n"
    );
    let file = home.join("valkey.conf");
    password::write_private(&file, &configuration)?;

    Ok(Launch {
        protocol: Protocol::Redis,
        data_dir: options.data_dir.clone(),
        port,
        url: format!("redis://:{password}@127.0.0.1:{port}/"),
        account: &[],
        program: options.binary.clone(),
        arguments: vec![file.into()],
        scratch: None,
    })
}

pub(super) async fn greet(url: &str) -> Result<(), String> {
    let ping = async {
        let mut connection = redis::Client::open(url)?
            .get_multiplexed_async_connection()
            .await?;
        redis::cmd("PING").query_async::<()>(&mut connection).await
    };
    ping.await.map_err(|error: redis::RedisError| error.to_string())
}

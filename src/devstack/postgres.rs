//! PostgreSQL, for the read models.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::process::Command;
use tokio::time::timeout;

use super::account::Account;
use super::error::{self, DevstackError};
use super::launch::{Launch, Protocol};
use super::server::ServerOptions;
use super::{Durability, binaries, password, spawn};

/// The database of the read models.
const DATABASE: &str = "flexgate";

/// PostgreSQL's `invalid_catalog_name`.
const NO_SUCH_DATABASE: &str = "3D000";

/// Half a second on an idle machine.
const INITDB_WITHIN: Duration = Duration::from_mins(1);

/// Prepares the data folder at the first start.
pub(super) async fn launch(options: &ServerOptions) -> Result<Launch, DevstackError> {
    let port = options.port()?;
    let password = password::read_or_create(&options.data_dir)?;
    let home = options.data_dir.join("postgres");
    let account = Account::settle(&options.binary, &home).await?;
    let scratch =
        (options.durability == Durability::Test && account.home != home).then(|| account.home.clone());
    // Another major version cannot read the files. It gets a folder of its own; read models can be rebuilt.
    let major = binaries::version(&options.binary)
        .await
        .map_or(0, |(major, _minor)| major);
    let cluster = account.home.join(format!("cluster-{major}"));
    if !cluster.join("PG_VERSION").exists() {
        init(&account, &cluster, &password, options.durability).await?;
    }

    let port_setting = format!("port={port}");
    let mut settings = vec![
        "listen_addresses=127.0.0.1",
        &port_setting,
        "unix_socket_directories=",
    ];
    if options.durability == Durability::Test {
        settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"]);
    }
    let mut arguments: Vec<OsString> = vec!["-D".into(), cluster.into()];
    arguments.extend(
        settings
            .into_iter()
            .flat_map(|setting| ["-c", setting])
            .map(OsString::from),
    );

    Ok(Launch {
        protocol: Protocol::Postgres,
        data_dir: options.data_dir.clone(),
        port,
        url: url(&password, port),
        account: account.prefix,
        program: account.binary,
        arguments,
        scratch,
    })
}

/// Where the database is, for who knows its password.
pub(super) fn url(password: &str, port: u16) -> String {
    format!(
        "postgres://{}:{password}@127.0.0.1:{port}/{DATABASE}?sslmode=disable",
        password::USER
    )
}

/// Asks for the database by its name, and makes it if that is all that is missing.
pub(super) async fn greet(url: &str) -> Result<(), String> {
    let greeting = match PgConnection::connect(url).await {
        Ok(connection) => connection.close().await,
        Err(error) if is_no_such_database(&error) => create_database(url).await,
        Err(error) => Err(error),
    };
    greeting.map_err(|error| error.to_string())
}

fn is_no_such_database(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.code().as_deref() == Some(NO_SUCH_DATABASE))
}

/// From within the one that every cluster has.
async fn create_database(url: &str) -> Result<(), sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let mut connection = PgConnection::connect_with(&options.database("postgres")).await?;
    sqlx::query("CREATE DATABASE flexgate")
        .execute(&mut connection)
        .await?;
    connection.close().await
}

/// `initdb` into a folder that gets its name only when it is complete.
async fn init(
    account: &Account,
    cluster: &Path,
    password: &str,
    durability: Durability,
) -> Result<(), DevstackError> {
    let unfinished = account.home.join("unfinished");
    let _absent = fs::remove_dir_all(&unfinished);
    let password_file = account.home.join("password");
    password::write_private(&password_file, password)?;
    account.give(&password_file)?;

    let mut initdb = Command::from(spawn::command(
        account.prefix,
        &account.binary.with_file_name("initdb"),
    ));
    initdb.args([
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--no-instructions",
    ]);
    initdb
        .args(["--username", password::USER])
        .arg("--pwfile")
        .arg(&password_file);
    initdb.arg("--pgdata").arg(&unfinished);
    if durability == Durability::Test {
        initdb.arg("--no-sync");
    }
    initdb
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = timeout(INITDB_WITHIN, initdb.output())
        .await
        .unwrap_or_else(|_elapsed| Err(std::io::ErrorKind::TimedOut.into()))
        .map_err(error::io("run initdb for", cluster))?;
    let _gone = fs::remove_file(&password_file);
    if !output.status.success() {
        return Err(DevstackError::Initdb(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    fs::rename(&unfinished, cluster).map_err(error::io("rename", &unfinished))
}

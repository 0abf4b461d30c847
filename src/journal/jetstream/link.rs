//! The connection to NATS, and whether it is up.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, ConnectOptions, Event, ServerAddr, connection::State, jetstream};
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

/// How often the server is pinged; two missing answers end the connection.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest pause between two attempts.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(1);

/// A connection that is made again whenever it is lost. Clones share it.
#[derive(Debug, Clone)]
pub struct Link {
    client: Client,
    jetstream: jetstream::Context,
    up: watch::Receiver<bool>,
    server: Arc<str>,
}

/// Why there can be no connection, however often it is tried.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not a server address.
    #[error("{0:?} is not the URL of a NATS server: write `nats://host:4222`")]
    Url(String),
    /// The client could not be set up.
    #[error("the NATS client cannot be set up: {0}")]
    Client(String),
}

impl Link {
    /// Sets the client up and lets it connect in the background: a server that is down now may come later.
    pub async fn open(url: &str, name: &str) -> Result<Self, ConnectError> {
        let servers = url
            .split(',')
            .map(|server| server.trim().parse::<ServerAddr>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| ConnectError::Url(without_credentials(url)))?;
        let (set, up) = watch::channel(false);
        let client = login(url)
            .name(name)
            .retry_on_initial_connect()
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .reconnect_delay_callback(|attempts| {
                let exponent = u32::try_from(attempts.min(6)).unwrap_or(6);
                Duration::from_millis(20 << exponent).min(RECONNECT_DELAY_MAX)
            })
            .event_callback(move |event| {
                match event {
                    Event::Connected => drop(set.send_replace(true)),
                    Event::Disconnected | Event::Closed => drop(set.send_replace(false)),
                    _ => {}
                }
                std::future::ready(())
            })
            .connect(servers)
            .await
            .map_err(|error| ConnectError::Client(error.to_string()))?;
        let jetstream = jetstream::new(client.clone());
        Ok(Self {
            client,
            jetstream,
            up,
            server: without_credentials(url).into(),
        })
    }

    /// The client itself.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its JetStream.
    pub fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    /// Whether something can be sent now.
    pub fn is_up(&self) -> bool {
        *self.up.borrow() && self.client.connection_state() == State::Connected
    }

    /// An error that names the server if nothing can be sent now.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.is_up() {
            Ok(())
        } else {
            Err(format!("NATS at {} is not connected", self.server))
        }
    }

    /// The servers, without credentials.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Sends what is queued and closes the connection; gives up after a second.
    pub async fn close(&self) {
        let closing = async {
            let _flushed = self.client.flush().await;
            let _drained = self.client.drain().await;
            self.disconnected().await;
        };
        if self.is_up() {
            let _late = tokio::time::timeout(Duration::from_secs(1), closing).await;
        }
    }

    /// Resolves when it is up. Cancel-safe.
    pub async fn connected(&self) {
        // An error means that the client is gone for good, which only ends with the process.
        if self.up.clone().wait_for(|up| *up).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Resolves when it is down. Cancel-safe.
    pub async fn disconnected(&self) {
        let mut up = self.up.clone();
        let _down = up.wait_for(|up| !*up).await;
    }
}

/// How to log in with the user and password, or the token, of a URL such as `nats://user:password@host`: the client
/// reads them and then ignores them. Of several servers the first one's are for all.
///
/// Answers come to `_INBOX.<user>.>`, so that an account can keep one user from reading what is answered to another.
pub fn login(url: &str) -> ConnectOptions {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let first = url
        .split(',')
        .next()
        .and_then(|server| server.trim().parse::<ServerAddr>().ok());
    let user = first
        .as_ref()
        .and_then(|server| Some((server.username()?, server.password())));
    match user {
        None => ConnectOptions::new(),
        Some((token, None)) => ConnectOptions::with_token(decode(token)),
        Some((user, Some(password))) => {
            let user = decode(user);
            let inbox = inbox(&user);
            ConnectOptions::with_user_and_password(user, decode(password)).custom_inbox_prefix(inbox)
        }
    }
}

/// Where a user is answered: in a place of their own, if the name can be part of a subject.
fn inbox(user: &str) -> String {
    let is_token = !user.is_empty()
        && user
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'.' | b'*' | b'>'));
    if is_token {
        format!("_INBOX.{user}")
    } else {
        "_INBOX".to_owned()
    }
}

/// The URL without what stands before the `@` of each server.
fn without_credentials(url: &str) -> String {
    let bare = |server: &str| match (server.split_once("://"), server.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        (_, None) => server.to_owned(),
    };
    url.split(',')
        .map(|server| bare(server.trim()))
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_credentials() {
        assert_eq!(
            without_credentials("nats://u:hunter2@a:4222, nats://b"),
            "nats://a:4222,nats://b"
        );
        assert_eq!(without_credentials("u:hunter2@a"), "a");
    }

    #[test]
    fn a_user_is_answered_in_a_place_of_its_own() {
        let check = |user: &str, place: &str| assert_eq!(inbox(user), place);
        check("gateway", "_INBOX.gateway");
        check("", "_INBOX");
        check("a.b", "_INBOX");
        check("*", "_INBOX");
        check("a b", "_INBOX");
    }
}

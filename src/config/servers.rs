//! The servers behind a node: NATS, `PostgreSQL`, Redis.

use std::{fmt, path::PathBuf, str::FromStr};

use super::{escape::escape, file::NodeOverrides, reader::Reader};

/// Where the servers are. One without an address is started by `flexgate up`.
#[derive(Debug, Clone, Default)]
pub struct Servers {
    /// `NATS_URL`: the system of record; several servers of one cluster separated by commas.
    pub nats: Option<ServerUrl>,
    /// `DATABASE_URL`, with `DATABASE_USER` and `DATABASE_PASSWORD` filled in: the read models.
    pub postgres: Option<ServerUrl>,
    /// `REDIS_URL`: shared rate-limit budgets.
    pub redis: Option<ServerUrl>,
    /// What to start where there is no address.
    pub binaries: ServerBinaries,
}

/// Server binaries that were named; others are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerBinaries {
    /// `FLEXGATE_NATS_BIN`.
    pub nats: Option<PathBuf>,
    /// `FLEXGATE_POSTGRES_BIN`.
    pub postgres: Option<PathBuf>,
    /// `FLEXGATE_VALKEY_BIN`.
    pub valkey: Option<PathBuf>,
}

/// The URL of a server. Shown without what could be a secret: user, password, query.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(String);

impl ServerUrl {
    /// The whole URL, secrets and all: for the client that connects, never for a log line.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The URL of any server, as it is shown.
    pub(super) fn shown(url: &str) -> String {
        Self(url.to_owned()).to_string()
    }

    fn parse(text: &str, schemes: &[&str], default_scheme: Option<&str>) -> Result<Self, String> {
        let one = |text: &str| -> Result<String, String> {
            let text = text.trim();
            let url = match (text.split_once("://"), default_scheme) {
                (None, Some(scheme)) => format!("{scheme}://{text}"),
                _ => text.to_owned(),
            };
            let (scheme, rest) = url.split_once("://").unwrap_or_default();
            if !schemes.contains(&scheme) || rest.is_empty() {
                // The text is not repeated: it may carry a password.
                return Err(format!(
                    "not a URL that begins with {}://",
                    schemes.join(":// or ")
                ));
            }
            Ok(url)
        };
        text.split(',')
            .map(one)
            .collect::<Result<Vec<_>, _>>()
            .map(|urls| Self(urls.join(",")))
    }

    /// With these credentials, where the URL itself has none.
    pub(super) fn with_credentials(self, user: Option<&str>, password: Option<&str>) -> Self {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return self;
        };
        let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (own, host) = match rest[..authority_end].rsplit_once('@') {
            Some((own, _)) => (Some(own), &rest[own.len() + 1..]),
            None => (None, rest),
        };
        let (own_user, own_password) =
            match own.map(|own| own.split_once(':').map_or((own, None), |(u, p)| (u, Some(p)))) {
                Some((user, password)) => (Some(user.to_owned()), password.map(str::to_owned)),
                None => (None, None),
            };
        let user = own_user.or_else(|| user.map(escape));
        let password = own_password.or_else(|| password.map(escape));
        let credentials = match (user, password) {
            (None, _) => return self,
            (Some(user), None) => user,
            (Some(user), Some(password)) => format!("{user}:{password}"),
        };
        Self(format!("{scheme}://{credentials}@{host}"))
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, url) in self.0.split(',').enumerate() {
            let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
            let (rest, query) = rest
                .split_once('?')
                .map_or((rest, ""), |(rest, _)| (rest, "?***"));
            let (masked, host) = rest
                .rsplit_once('@')
                .map_or(("", rest), |(_, host)| ("***@", host));
            write!(
                out,
                "{}{scheme}://{masked}{host}{query}",
                if position == 0 { "" } else { "," }
            )?;
        }
        Ok(())
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// For Redis, whose address may stand in the configuration file.
impl FromStr for ServerUrl {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        redis(text)
    }
}

fn nats(text: &str) -> Result<ServerUrl, String> {
    ServerUrl::parse(text, &["nats", "tls", "ws", "wss"], Some("nats"))
}

fn postgres(text: &str) -> Result<ServerUrl, String> {
    ServerUrl::parse(text, &["postgresql", "postgres"], None)
}

fn redis(text: &str) -> Result<ServerUrl, String> {
    ServerUrl::parse(
        text,
        &["redis", "rediss", "redis+unix", "unix", "valkey", "valkeys"],
        None,
    )
}

pub(super) fn read(reader: &mut Reader<'_>, file: &NodeOverrides) -> Servers {
    let mut url = |name, parse: fn(&str) -> Result<ServerUrl, String>| {
        let found = reader.find(&[name])?;
        reader.parse(found, parse)
    };
    let (nats, postgres, redis) = (
        url("NATS_URL", nats),
        url("DATABASE_URL", postgres),
        url("REDIS_URL", redis),
    );
    let text = |name| reader.find(&[name]).map(|found| found.value);
    let (user, password) = (text("DATABASE_USER"), text("DATABASE_PASSWORD"));
    Servers {
        nats,
        postgres: postgres.map(|url| url.with_credentials(user, password)),
        redis: redis.or_else(|| file.redis.clone()),
        binaries: ServerBinaries {
            nats: reader.path("FLEXGATE_NATS_BIN"),
            postgres: reader.path("FLEXGATE_POSTGRES_BIN"),
            valkey: reader.path("FLEXGATE_VALKEY_BIN"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        let check = |url: &str, shown: &str| assert_eq!(ServerUrl(url.to_owned()).to_string(), shown);
        check("nats://me:hunter2@a:4222,nats://b", "nats://***@a:4222,nats://b");
        check("nats://hunter2@a", "nats://***@a");
        check(
            "postgresql://me:hun@ter2@db/flexgate?password=hunter2",
            "postgresql://***@db/flexgate?***",
        );
        check("redis://:hunter2@r:6379/1", "redis://***@r:6379/1");
    }

    #[test]
    fn credentials_fill_in_what_the_url_leaves_out() {
        let check = |url: &str, expected: &str| {
            let filled = postgres(url)
                .unwrap()
                .with_credentials(Some("me"), Some("p@ss:w/rd"));
            assert_eq!(filled.expose(), expected);
        };
        check(
            "postgresql://localhost/flexgate",
            "postgresql://me:p%40ss%3Aw%2Frd@localhost/flexgate",
        );
        check(
            "postgresql://you@localhost/flexgate",
            "postgresql://you:p%40ss%3Aw%2Frd@localhost/flexgate",
        );
        check("postgresql://you:own@localhost", "postgresql://you:own@localhost");
        check(
            "postgresql:///flexgate?host=/run",
            "postgresql://me:p%40ss%3Aw%2Frd@/flexgate?host=/run",
        );
    }

    #[test]
    fn a_wrong_url_is_not_repeated() {
        assert!(postgres("mysql://me:hunter2@db").is_err_and(|error| !error.contains("hunter2")));
        assert_eq!(
            nats("a:4222,b:4222").unwrap().expose(),
            "nats://a:4222,nats://b:4222"
        );
    }
}

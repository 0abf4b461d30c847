//! Fetches what a provider publishes: guarded like every request, without redirects, bounded in size and time.

use std::{
    future::pending,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use flexgate_schemas::{Secret, UpstreamUrl, secret::Purpose, security::Host, transport::Protocol};
use hickory_resolver::{TokioResolver, net::NetError};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use crate::{
    egress::{self, Behalf, Guard, Prohibited},
    gateway::{
        SecretMissing, Secrets,
        tls::{OriginTls, Tls},
    },
};

/// How long a fetch may take, from the name to the last byte.
const DEADLINE: Duration = Duration::from_secs(5);
/// The longest JWK Set, in bytes: a hundred RSA keys with their certificates.
const BYTES_MAX: usize = 512 * 1024;
/// For how long keys are good, if the provider does not say.
const FRESH: Duration = Duration::from_mins(10);
/// For how long at least: a provider that says less would be asked all the time.
const FRESH_MIN: Duration = Duration::from_mins(1);
/// And at most: a key that is withdrawn must be missed some day.
const FRESH_MAX: Duration = Duration::from_hours(24);

/// What it takes to fetch.
pub(super) struct Fetcher {
    names: Result<TokioResolver, NetError>,
    tls: Tls,
}

/// What was fetched.
pub(super) struct Fetched {
    pub(super) json: Bytes,
    /// For how long it is good.
    pub(super) fresh: Duration,
}

/// Why nothing was.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Prohibited(#[from] Prohibited),
    #[error("the name could not be resolved: {0}")]
    Resolve(String),
    #[error("the connection failed: {0}")]
    Connect(#[from] io::Error),
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("it did not answer in HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("the answer broke off, or is longer than {BYTES_MAX} bytes")]
    Body,
    #[error("the answer is no JWK Set, or has no key that can be used")]
    Keys,
    #[error("it did not answer in time")]
    Timeout,
}

impl Fetcher {
    /// Needs a runtime.
    pub(super) fn new(tls: Tls, name_servers: &[SocketAddr]) -> Self {
        Self {
            names: crate::gateway::resolve::system(name_servers),
            tls,
        }
    }

    /// Asks once.
    pub(super) async fn fetch(&self, url: &UpstreamUrl, guard: &Guard) -> Result<Fetched, FetchError> {
        timeout(DEADLINE, self.ask(url, guard))
            .await
            .unwrap_or(Err(FetchError::Timeout))
    }

    async fn ask(&self, url: &UpstreamUrl, guard: &Guard) -> Result<Fetched, FetchError> {
        let stream = self.connect(url, guard).await?;
        if !url.is_https() {
            return exchange(stream, url).await;
        }
        let failed = |error: String| FetchError::Tls(error);
        let none: Secrets =
            Arc::new(|_: &Secret, _: Purpose<'_>| Err(SecretMissing("none is needed".into())));
        let origin = OriginTls::resolve(url, Protocol::Http1, None, &none)
            .map_err(|error| failed(error.to_string()))?;
        let connector = self
            .tls
            .connector(&origin, true)
            .map_err(|error| failed(error.to_string()))?;
        let stream = connector.connect(origin.name.clone(), stream).await;
        exchange(stream.map_err(|error| failed(error.to_string()))?, url).await
    }

    /// What is judged is what is dialled.
    async fn connect(&self, url: &UpstreamUrl, guard: &Guard) -> Result<TcpStream, FetchError> {
        let host = Host::of(url.host());
        egress::verdict_on_host(guard, &host, Behalf::Gateway)?;
        let mut failure = FetchError::Resolve("it has no address".into());
        for address in self.addresses(&host).await? {
            if let Err(prohibited) = egress::verdict(guard, &host, address, Behalf::Gateway) {
                failure = prohibited.into();
                continue;
            }
            match TcpStream::connect(SocketAddr::new(address, url.port())).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error.into(),
            }
        }
        Err(failure)
    }

    async fn addresses(&self, host: &Host) -> Result<Vec<IpAddr>, FetchError> {
        let name = match host {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(name) | Host::Number(name) => name,
        };
        let failed = |error: &NetError| FetchError::Resolve(error.to_string());
        let names = self.names.as_ref().map_err(failed)?;
        let found = names.lookup_ip(&**name).await.map_err(|error| failed(&error))?;
        Ok(found.iter().collect())
    }
}

async fn exchange<S>(stream: S, url: &UpstreamUrl) -> Result<Fetched, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let path = if url.base().is_empty() { "/" } else { url.base() };
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = path.parse().expect("a path of plain segments");
    let fields = request.headers_mut();
    let host = HeaderValue::try_from(url.authority()).expect("a host is visible ASCII");
    fields.insert(header::HOST, host);
    fields.insert(
        header::ACCEPT,
        HeaderValue::from_static("application/jwk-set+json, application/json"),
    );
    fields.insert(header::USER_AGENT, HeaderValue::from_static("flexgate"));
    let answer = async {
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status())); // redirects, too: they would have to be judged anew
        }
        let fresh = fresh(response.headers());
        let body = Limited::new(response.into_body(), BYTES_MAX).collect().await;
        let json = body.map_err(|_| FetchError::Body)?.to_bytes();
        Ok(Fetched { json, fresh })
    };
    let mut driven = pin!(async {
        drop(connection.await); // what it failed with, the answer fails with
        pending::<()>().await;
    });
    tokio::select! {
        biased; // a connection that is over may have left its answer behind
        answer = answer => answer,
        () = &mut driven => Err(FetchError::Body),
    }
}

/// For how long an answer is good (RFC 9111 5.2.2.1), within reason.
fn fresh(headers: &HeaderMap) -> Duration {
    let lists = headers.get_all(header::CACHE_CONTROL).iter();
    let mut directives = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','));
    let seconds = directives.find_map(|directive| {
        let (name, seconds) = directive.trim().split_once('=')?;
        let is_max_age = name.eq_ignore_ascii_case("max-age");
        is_max_age
            .then(|| seconds.trim_matches('"').parse().ok())
            .flatten()
    });
    seconds
        .map_or(FRESH, Duration::from_secs)
        .clamp(FRESH_MIN, FRESH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_good_for_as_long_as_the_provider_says_within_reason() {
        let check = |value: Option<&'static str>, seconds: u64| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(value));
            }
            assert_eq!(fresh(&headers).as_secs(), seconds, "{value:?}");
        };
        check(None, 600);
        check(Some("no-store"), 600);
        check(Some("public, Max-Age=3600, must-revalidate"), 3600);
        check(Some("max-age=0"), 60);
        check(Some("s-maxage=5"), 600);
        check(Some("max-age=99999999"), 86400);
        check(Some("max-age=soon"), 600);
    }
}

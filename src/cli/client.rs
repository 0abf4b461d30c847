//! The admin API as the command line uses it: one connection per request, on the machine or in the network.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use flexgate_schemas::CommitId;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use uuid::Uuid;

use super::{
    exit::{Exit, Failure},
    problem,
};
use crate::{
    config::{AdminToken, Config, RunRecord, Sources},
    drain::Tasks,
};

/// A client of one admin API.
pub(super) struct AdminClient {
    address: String,
    token: Option<AdminToken>,
    /// Where a token would have been found.
    token_file: String,
    tasks: Tasks,
}

/// A request to be sent.
pub(super) struct Ask {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
    /// How long the whole answer may take.
    pub(super) within: Duration,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Null when there is no body.
    pub(super) body: Value,
}

const AGENT: HeaderValue = HeaderValue::from_static(concat!("flexgate-cli/", env!("CARGO_PKG_VERSION")));
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Above the 10 s for which a write may wait for the log, and the 5 s for which it may wait for nodes.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// The largest answer that is read: a list of a million routes.
const ANSWER_BYTES_MAX: usize = 512 * 1024 * 1024;

impl AdminClient {
    /// Finds the admin API: the address that was given, or else the one that a process of this data folder wrote down,
    /// or else the default one; and the token beside it.
    pub(super) fn find(config: &Config, sources: &Sources) -> Result<Self, Failure> {
        let failed = |error: String| Failure::new(Exit::Failed, error);
        let record = if sources.has("FLEXGATE_ADMIN_ADDR") {
            None
        } else {
            RunRecord::read(&config.data_dir).map_err(|error| failed(format!("run.json: {error}")))?
        };
        let address = record
            .and_then(|record| record.admin)
            .unwrap_or(config.listen.admin);
        let token = match &config.admin_token {
            Some(token) => Some(token.clone()),
            None => AdminToken::read(&config.data_dir).map_err(|error| failed(error.to_string()))?,
        };
        let token_file = AdminToken::path(&config.data_dir).display().to_string();
        Ok(Self {
            address: reachable(address).to_string(),
            token,
            token_file,
            tasks: Tasks::new(),
        })
    }

    /// A client of what every listener beside the data plane answers without a token.
    pub(super) fn without_token(address: SocketAddr) -> Self {
        Self {
            address: reachable(address).to_string(),
            token: None,
            token_file: String::new(),
            tasks: Tasks::new(),
        }
    }

    /// Where it is.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Asks and reads the answer; a status of 400 or more is a failure.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, Failure> {
        let answer = self.answer(ask).await?;
        self.accepted(answer)
    }

    /// Reads the rest of an answer whose beginning is here. A status of 400 or more is a failure.
    pub(super) async fn read(
        &self,
        status: StatusCode,
        headers: HeaderMap,
        body: Incoming,
    ) -> Result<Answer, Failure> {
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| self.broken(&error.to_string()))?.to_bytes();
        self.accepted(Answer {
            status,
            headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        })
    }

    /// The failure that a problem comes to.
    pub(super) fn refused(&self, status: StatusCode, problem: &Value) -> Failure {
        problem::failure(status, problem, &self.token_file)
    }

    fn accepted(&self, answer: Answer) -> Result<Answer, Failure> {
        if answer.status.is_client_error() || answer.status.is_server_error() {
            return Err(self.refused(answer.status, &answer.body));
        }
        Ok(answer)
    }

    /// Asks and reads the answer, whatever its status says.
    pub(super) async fn answer(&self, ask: Ask) -> Result<Answer, Failure> {
        let within = ask.within;
        let answer = async {
            let (status, headers, body) = self.send(ask).await?;
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| self.broken(&error.to_string()))?.to_bytes();
            Ok::<_, Failure>((status, headers, body))
        };
        let (status, headers, body) = timeout(within, answer)
            .await
            .map_err(|_| self.broken(&format!("no answer within {} s", within.as_secs())))??;
        Ok(Answer {
            status,
            headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        })
    }

    /// Asks and reads an answer that is no JSON.
    pub(super) async fn text(&self, ask: Ask) -> Result<String, Failure> {
        let within = ask.within;
        let answer = async {
            let (status, _, body) = self.send(ask).await?;
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| self.broken(&error.to_string()))?.to_bytes();
            if status.is_client_error() || status.is_server_error() {
                let problem = serde_json::from_slice(&body).unwrap_or(Value::Null);
                return Err(problem::failure(status, &problem, &self.token_file));
            }
            Ok(String::from_utf8_lossy(&body).into_owned())
        };
        timeout(within, answer)
            .await
            .map_err(|_| self.broken(&format!("no answer within {} s", within.as_secs())))?
    }

    /// Reads a resource.
    pub(super) async fn get(&self, target: &str) -> Result<Answer, Failure> {
        self.ask(Ask::new(Method::GET, target)).await
    }

    /// Sends a request; the body of the answer is still to be read.
    pub(super) async fn send(&self, ask: Ask) -> Result<(StatusCode, HeaderMap, Incoming), Failure> {
        let stream = match timeout(CONNECT_WITHIN, TcpStream::connect(&self.address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.unreachable(&error.to_string())),
            Err(_elapsed) => return Err(self.unreachable("no connection within 3 s")),
        };
        let broken = |error: hyper::Error| self.broken(&error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // It lives for as long as the body is read, and fails where the body does.
        self.tasks.spawn(async move { drop(connection.await) });
        let (parts, body) = sender
            .send_request(self.request(ask)?)
            .await
            .map_err(broken)?
            .into_parts();
        Ok((parts.status, parts.headers, body))
    }

    fn request(&self, ask: Ask) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::new(Full::new(ask.body));
        *request.method_mut() = ask.method;
        let invalid = |what: &str| Failure::new(Exit::Usage, format!("{what} cannot be sent"));
        *request.uri_mut() = ask.target.parse().map_err(|_| invalid(&ask.target))?;
        *request.headers_mut() = ask.headers;
        let host = HeaderValue::try_from(self.address.as_str()).map_err(|_| invalid(&self.address))?;
        request.headers_mut().insert(header::HOST, host);
        // So that the audit log can tell it from other clients.
        request.headers_mut().insert(header::USER_AGENT, AGENT);
        if let Some(token) = &self.token {
            let mut credentials = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(|_| invalid("this token"))?;
            credentials.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, credentials);
        }
        Ok(request)
    }

    fn unreachable(&self, why: &str) -> Failure {
        Failure::new(
            Exit::Unreachable,
            format!("the admin API at {} cannot be reached: {why}", self.address),
        )
        .next("start one with `flexgate up`, or name another with --admin ADDR")
    }

    pub(super) fn broken(&self, why: &str) -> Failure {
        Failure::new(
            Exit::Unreachable,
            format!("the admin API at {} did not answer: {why}", self.address),
        )
        .next("look at its log; a change may have been made all the same: `flexgate events tail` shows it")
    }
}

impl Ask {
    pub(super) fn new(method: Method, target: impl Into<String>) -> Self {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        Self {
            method,
            target: target.into(),
            headers,
            body,
            within: ANSWER_WITHIN,
        }
    }

    /// A change, which is recognised if it is sent twice.
    pub(super) fn change(method: Method, target: impl Into<String>) -> Self {
        let key = CommitId::from_uuid(Uuid::now_v7());
        let quoted =
            HeaderValue::try_from(format!("\"{key}\"")).expect("letters, digits and hyphens in quotes");
        Self::new(method, target).header(HeaderName::from_static("idempotency-key"), quoted)
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(super) fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into();
        self.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
    }

    pub(super) fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }
}

/// An address that listens everywhere is reached on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        std::net::IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

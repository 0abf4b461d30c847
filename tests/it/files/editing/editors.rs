//! Who edits, and what they are answered.

use std::{collections::BTreeMap, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    client::{Answer, Connection},
    fixtures::PATIENCE,
    program::TOKEN,
};

/// All routes that there ever are.
const ROUTES: [&str; 8] = ["hand-0", "hand-1", "a-0", "a-1", "b-0", "b-1", "c-0", "c-1"];

/// How somebody edits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    /// Reads first, and changes what is still as it was read.
    Admin,
    /// Changes one field, whatever else there is.
    Program,
    /// Applies a file of this name again and again.
    File(&'static str),
}

/// What somebody tried.
#[derive(Debug)]
pub(super) struct Attempt {
    /// Unique: the reason of the commit, if it became one.
    pub(super) reason: String,
    pub(super) what: What,
    pub(super) answer: Answer,
}

/// What was to be done.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// A route that is to have another name, or to go: one of that revision.
    Change { id: &'static str, seen: u64 },
    /// A route that is not to be there yet.
    Create { id: &'static str },
    /// A route that is to have another timeout.
    Patch { id: &'static str, timeout: u64 },
    /// That all is as a file says.
    Apply { file: &'static str, forced: bool },
}

/// Somebody who edits.
pub(super) struct Editor {
    number: usize,
    role: Role,
    addr: SocketAddr,
    connection: Option<Connection>,
    chance: u64,
    said: BTreeMap<&'static str, Value>,
    pub(super) attempts: Vec<Attempt>,
}

impl Editor {
    pub(super) fn new(number: usize, role: Role, addr: SocketAddr) -> Self {
        Self {
            number,
            role,
            addr,
            connection: None,
            chance: number as u64 + 1,
            said: BTreeMap::new(),
            attempts: Vec::new(),
        }
    }

    pub(super) async fn round(&mut self) {
        let id = ROUTES[self.choose(ROUTES.len())];
        match self.role {
            Role::Admin => self.reads_and_changes(id).await,
            Role::Program => {
                let timeout = self.unique();
                let body = json!({ "timeout": timeout });
                self.attempt(
                    What::Patch { id, timeout },
                    (Method::PATCH, format!("/api/routes/{id}")),
                    (None, body),
                )
                .await;
            }
            Role::File(file) => self.writes_and_applies(file).await,
        }
    }

    async fn reads_and_changes(&mut self, id: &'static str) {
        let address = format!("/api/routes/{id}");
        let read = self.send(Method::GET, &address, None, Value::Null).await;
        if read.status == 404 {
            let created = route(id, self.unique());
            let create = (Method::POST, "/api/routes".to_owned());
            let absent = ("if-none-match", HeaderValue::from_static("*"));
            self.attempt(What::Create { id }, create, (Some(absent), created))
                .await;
            return;
        }
        let mut value = read.json();
        let seen = value["revision"].as_u64().unwrap();
        let unchanged = ("if-match", read.headers["etag"].clone());
        value["name"] = format!("n{}", self.unique()).into();
        let method = if self.choose(8) == 0 {
            Method::DELETE
        } else {
            Method::PUT
        };
        self.attempt(
            What::Change { id, seen },
            (method, address),
            (Some(unchanged), value),
        )
        .await;
    }

    /// Changes the file a little, and applies it. A refusal makes its people give in, insist, or go back.
    async fn writes_and_applies(&mut self, file: &'static str) {
        let before = self.said.clone();
        let own = ROUTES.iter().filter(|id| id.starts_with(file)).copied();
        let own: Vec<_> = own.collect();
        let id = match self.choose(10) {
            0 => ROUTES[self.choose(ROUTES.len())],
            _ => own[self.choose(own.len())],
        };
        if self.choose(6) == 0 {
            self.said.remove(id);
        } else {
            let changed = route(id, self.unique());
            self.said.insert(id, changed);
        }
        if self.applies(file, false).await {
            return;
        }
        match self.choose(3) {
            0 => {
                self.applies(file, true).await;
            }
            1 => {
                for id in self.said.clone().into_keys() {
                    let read = self
                        .send(Method::GET, &format!("/api/routes/{id}"), None, Value::Null)
                        .await;
                    if read.status == 404 {
                        self.said.remove(id);
                    } else {
                        self.said.insert(id, without_stamps(read.json()));
                    }
                }
                self.applies(file, false).await;
            }
            _ => self.said = before,
        }
    }

    async fn applies(&mut self, file: &'static str, forced: bool) -> bool {
        let routes: Vec<_> = self.said.values().collect();
        let upstream = json!({ "name": file, "url": "http://127.0.0.1:9" });
        let said = json!({ "upstreams": [upstream], "routes": routes });
        let target = format!("/api/config/apply?file={file}&force={forced}");
        self.attempt(What::Apply { file, forced }, (Method::POST, target), (None, said))
            .await
    }

    /// Whether it was accepted.
    async fn attempt(
        &mut self,
        what: What,
        (method, mut target): (Method, String),
        (condition, body): (Option<(&'static str, HeaderValue)>, Value),
    ) -> bool {
        let reason = format!("{}-{}", self.number, self.attempts.len());
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str("reason=");
        target.push_str(&reason);
        let answer = self.send(method, &target, condition, body).await;
        let accepted = answer.status.is_success();
        self.attempts.push(Attempt { reason, what, answer });
        accepted
    }

    async fn send(
        &mut self,
        method: Method,
        target: &str,
        condition: Option<(&'static str, HeaderValue)>,
        body: Value,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .header(header::CONTENT_TYPE, "application/json");
        if let Some((name, value)) = condition {
            request = request.header(name, value);
        }
        let body = if body.is_null() {
            Bytes::new()
        } else {
            Bytes::from(body.to_string())
        };
        let request = request.body(Full::new(body)).unwrap();
        let asking = async {
            if self.connection.is_none() {
                self.connection = Some(Connection::open(self.addr).await.unwrap());
            }
            self.connection.as_mut().unwrap().send(request).await.unwrap()
        };
        timeout(PATIENCE, asking).await.expect("an answer")
    }

    /// A value that nobody has given before.
    fn unique(&mut self) -> u64 {
        (self.attempts.len() * 10 + self.number + 1) as u64
    }

    /// The same choices in every run, as far as the answers are.
    fn choose(&mut self, bound: usize) -> usize {
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.chance >> 33).unwrap() % bound
    }
}

fn route(id: &str, timeout: u64) -> Value {
    json!({ "id": id, "path": format!("/{id}"), "upstream": "backend", "timeout": timeout })
}

/// As it can be sent back in a list.
fn without_stamps(mut entity: Value) -> Value {
    for field in ["revision", "createdAt", "updatedAt"] {
        entity.as_object_mut().unwrap().remove(field);
    }
    entity
}

//! User names and passwords, as they are sent. What is kept of a password is worked out here, and nothing here repeats one.

use flexgate_schemas::key::{Basic, PasswordHash, Username, basic::PASSWORD_BYTES_MAX};
use schemars::JsonSchema;
use serde_json::{Map, Value};
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::super::{error::Error, json, write::Write};
use crate::password::{self, HashingFailed};

/// The shortest password, in bytes.
const PASSWORD_BYTES_MIN: usize = 8;
/// How many passwords are hashed at once. Further ones wait, as many as there are connections.
static TURNS: Semaphore = Semaphore::const_new(2);

/// A user name, and a password or the hash of one.
#[derive(JsonSchema)]
#[schemars(rename = "BasicInput", rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "it is read field by field, so that no mistake repeats what is wrong"
)]
pub(super) struct Input {
    /// What the client calls itself; absent: what it does already.
    username: Option<Username>,
    /// Its password, of 8 to 512 bytes.
    #[schemars(extend("format" = "password", "writeOnly" = true))]
    password: Option<String>,
    /// Or Argon2id of it, as a PHC string.
    password_hash: Option<PasswordHash>,
}

/// It, read.
pub(super) struct Sent {
    username: Option<Username>,
    proof: Proof,
}

enum Proof {
    Password(String),
    Hash(PasswordHash),
}

impl Sent {
    /// Reads it. `at` is where it stands in the body.
    pub(super) fn read(sent: Value, at: &str) -> Result<Self, Error> {
        let Value::Object(mut fields) = sent else {
            return Err(json::invalid(at, "this must be an object"));
        };
        let [username, password, hash] =
            ["username", "password", "passwordHash"].map(|name| text(&mut fields, at, name));
        if !fields.is_empty() {
            return Err(json::invalid(
                at,
                "there are `username`, `password` and `passwordHash`, and nothing else",
            ));
        }
        let wrong = |name: &str, detail: String| json::invalid(format!("{at}/{name}"), detail);
        let username = username?
            .map(|name| {
                name.parse()
                    .map_err(|error: &str| wrong("username", error.to_owned()))
            })
            .transpose()?;
        let proof = match (password?, hash?) {
            (Some(password), None) if (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&password.len()) => {
                Proof::Password(password)
            }
            (Some(_), None) => {
                let detail = format!("a password has {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} bytes");
                return Err(wrong("password", detail));
            }
            (None, Some(hash)) => {
                let hash = hash.parse::<PasswordHash>();
                Proof::Hash(hash.map_err(|error| wrong("passwordHash", error.to_string()))?)
            }
            _ => {
                return Err(json::invalid(
                    at,
                    "give a `password`, or the `passwordHash` of one",
                ));
            }
        };
        Ok(Self { username, proof })
    }

    /// What is kept of it, for a key that perhaps has a user name. The log keeps a hash of the request, too, if it is to be told
    /// from others: that takes as long to compute from now on, so that nobody can guess the password by it.
    pub(super) async fn kept(
        self,
        current: Option<Username>,
        write: &mut Write,
        at: &str,
    ) -> Result<Basic, Error> {
        let username = self
            .username
            .or(current)
            .ok_or_else(|| json::invalid(at, "missing field `username`"))?;
        let password = match self.proof {
            Proof::Hash(password_hash) => {
                return Ok(Basic {
                    username,
                    password_hash,
                });
            }
            Proof::Password(password) => password,
        };
        let request = write.idempotency.clone();
        let hashing = move || -> Result<_, HashingFailed> {
            let hash = password::hash(password.as_bytes())?;
            let stretched = request
                .map(|request| password::stretched(request.request_hash.as_bytes(), request.key.as_bytes()))
                .transpose()?;
            Ok((hash, stretched))
        };
        let _turn = TURNS.acquire().await.map_err(|_| Error::NoRandom)?; // it is never closed
        let hashed = spawn_blocking(hashing).await.map_err(|_| Error::NoRandom)?;
        let (password_hash, stretched) = hashed.map_err(|_| Error::NoRandom)?;
        if let (Some(own), Some(stretched)) = (&mut write.idempotency, stretched) {
            own.request_hash = stretched.into();
        }
        Ok(Basic {
            username,
            password_hash,
        })
    }
}

fn text(fields: &mut Map<String, Value>, at: &str, name: &str) -> Result<Option<String>, Error> {
    match fields.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(json::invalid(format!("{at}/{name}"), "this must be a string")),
    }
}

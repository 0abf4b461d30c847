//! User names and passwords (RFC 7617): who has the key that they stand for.

use std::rc::Rc;

use base64::{Engine, engine::general_purpose::STANDARD};
use flexgate_schemas::{
    ApiKey, RouteId,
    key::{Basic, PasswordHash, Username, basic::PASSWORD_BYTES_MAX},
};
use futures_util::FutureExt;

use super::{
    authenticate::{Denied, Ruling, admit},
    exchange::Exchange,
    refusal::Refusal,
    snapshot::Snapshot,
};

/// The scheme in `Authorization`.
pub(super) const SCHEME: &str = "Basic";

/// By a user name and a password. An unknown name takes as long as a wrong password: its password is verified, too, and in vain.
pub(super) fn by_password(exchange: &Rc<Exchange>, route: &RouteId, sent: &[u8]) -> Ruling {
    let snapshot = &exchange.snapshot;
    let read = read(sent).and_then(|(username, password)| {
        let named = owner(snapshot, &username);
        let hash = named.or_else(|| anyone(snapshot)).and_then(hash)?;
        Some((username, password, hash, named.is_some()))
    });
    let Some((username, password, hash, is_known)) = read else {
        return Denied::Invalid.into();
    };
    let core = &exchange.client.core;
    let print = core.known_passwords.print(username.as_str(), &password, hash);
    let now = exchange.arrival.at.div_euclid(1_000_000);
    if let Some(right) = core.known_passwords.verdict(&print, now) {
        return verdict(exchange, route, &username, right && is_known).into();
    }
    let (exchange, route, hash) = (Rc::clone(exchange), route.clone(), hash.clone());
    let verified = async move {
        let core = &exchange.client.core;
        let known = &core.known_passwords;
        let right = core
            .checkers
            .check(known, (print, now), (hash, password), exchange.client_address)
            .await?;
        verdict(&exchange, &route, &username, right && is_known).map_err(Refusal::Denied)
    };
    Ruling::Depends(verified.boxed_local())
}

fn verdict(exchange: &Exchange, route: &RouteId, username: &Username, right: bool) -> Result<(), Denied> {
    let key = owner(&exchange.snapshot, username).filter(|_| right);
    admit(exchange, route, key.ok_or(Denied::Invalid)?)
}

fn owner<'s>(snapshot: &'s Snapshot, username: &Username) -> Option<&'s ApiKey> {
    let id = snapshot.usernames.owner(username)?;
    snapshot.keys.get(&id).map(|entry| &entry.value)
}

/// Somebody whose password takes as long to verify as that of others.
fn anyone(snapshot: &Snapshot) -> Option<&ApiKey> {
    let id = snapshot.usernames.any()?;
    snapshot.keys.get(&id).map(|entry| &entry.value)
}

fn hash(key: &ApiKey) -> Option<&PasswordHash> {
    let basic: &Basic = key.particulars().basic.as_deref()?;
    Some(&basic.password_hash)
}

/// What follows the scheme: both in base64, with a colon in between.
fn read(sent: &[u8]) -> Option<(Username, Vec<u8>)> {
    let mut text = STANDARD.decode(sent).ok()?;
    let colon = text.iter().position(|byte| *byte == b':')?;
    let password = text.split_off(colon + 1);
    let username = str::from_utf8(&text[..colon]).ok()?.parse().ok()?;
    (password.len() <= PASSWORD_BYTES_MAX).then_some((username, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_colon_ends_the_user_name() {
        let check = |text: &[u8], expected: Option<(&str, &str)>| {
            let found = read(STANDARD.encode(text).as_bytes());
            let found = found
                .as_ref()
                .map(|(name, password)| (name.as_str(), &**password));
            assert_eq!(
                found,
                expected.map(|(name, password)| (name, password.as_bytes()))
            );
        };
        check(b"ada:secret", Some(("ada", "secret")));
        check(b"ada:se:cret", Some(("ada", "se:cret")));
        check("ädä:pä".as_bytes(), Some(("ädä", "pä")));
        check(b"ada:", Some(("ada", "")));
        check(b"ada", None);
        check(b":secret", None);
        check(b"\xff:secret", None);
        check([b"ada:".as_slice(), &[b'a'; 513]].concat().as_slice(), None);
        assert_eq!(read(b"ada:secret"), None);
    }
}

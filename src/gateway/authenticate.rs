//! Who sends a request, and whether they may.

use std::net::IpAddr;

use flexgate_schemas::{
    ApiKey, RouteId,
    key::{SecretHash, secret},
    policy::Auth,
};
use http::Method;

use super::{
    caller::Caller,
    credential::{self, Credential},
    exchange::{Arrived, Exchange, Routed},
    refusal::Refusal,
};
use crate::domain::Keys;

/// No key is longer, in bytes; what is sent is hashed before anything is known of it.
const KEY_BYTES_MAX: usize = 512;

/// Why somebody may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// They do not say who they are.
    NoCredential,
    /// They say it in a way that proves nothing. Whether there is such a key is not told.
    Invalid,
    /// The key was good until it was revoked.
    Revoked,
    /// The key is disabled.
    Disabled,
    /// The key has expired.
    Expired,
    /// The key is not taken from there.
    Network,
    /// The key opens other routes or methods.
    Scope,
}

/// What is asked of a key.
#[derive(Debug)]
struct Asked<'a> {
    /// When, in milliseconds since 1970.
    at: i64,
    from: IpAddr,
    route: &'a RouteId,
    method: &'a Method,
}

/// Lets those pass who may. A credential that was checked has done what it is for: the upstream is told whose it was instead.
pub(super) fn authenticate(mut request: Routed) -> Result<Routed, Refusal> {
    let auth = request.route.route.auth;
    if auth == Auth::None {
        return Ok(request);
    }
    let Arrived {
        exchange,
        headers,
        look,
        ..
    } = &mut request.arrived;
    let settings = &exchange.snapshot.settings.auth;
    match credential::of(headers, *look, settings.header()) {
        Credential::None if auth == Auth::Optional => return Ok(request),
        Credential::None => return Err(Refusal::Denied(Denied::NoCredential)),
        Credential::Several => return Err(Refusal::Denied(Denied::Invalid)),
        Credential::Key(sent) => by_key(exchange, &request.route.route.id, sent).map_err(Refusal::Denied)?,
    }
    if !settings.forward_credential {
        credential::strip(headers, *look, settings.header());
    }
    Ok(request)
}

/// By an API key. Whose it is, is known from the moment when its secret is: also of a request that is refused all the same.
fn by_key(exchange: &Exchange, route: &RouteId, sent: &[u8]) -> Result<(), Denied> {
    if sent.len() > KEY_BYTES_MAX {
        return Err(Denied::Invalid);
    }
    let hash = SecretHash::of(sent);
    let asked = Asked {
        at: exchange.arrival.at.div_euclid(1000),
        from: exchange.client_address,
        route,
        method: &exchange.method,
    };
    let key = find(&exchange.snapshot.keys, sent, &hash).filter(|key| proves(key, &hash, asked.at));
    let key = key.ok_or(Denied::Invalid)?;
    exchange.caller.get_or_init(|| Caller::with(key));
    verdict(key, &asked)
}

/// The key that this may be a secret of: the one that it names, else the one that its hash does.
fn find<'k>(keys: &'k Keys, sent: &[u8], hash: &SecretHash) -> Option<&'k ApiKey> {
    let named = secret::claimed_id(sent).and_then(|id| keys.get(&id));
    let found = named.or_else(|| keys.get(&hash.derived_id()));
    found.map(|entry| &entry.value)
}

/// Whether this is the secret of the key, or one that a rotation has left valid until later.
fn proves(key: &ApiKey, hash: &SecretHash, at: i64) -> bool {
    let mut previous = key.particulars().previous.iter();
    key.sha256.matches(hash)
        || previous.any(|earlier| at < earlier.until.as_millis() && earlier.sha256.matches(hash))
}

/// Whether a key opens what is asked of it.
fn verdict(key: &ApiKey, asked: &Asked<'_>) -> Result<(), Denied> {
    let own = key.particulars();
    let mut networks = own.networks.iter();
    if own.revoked_at.is_some() {
        Err(Denied::Revoked)
    } else if !key.enabled {
        Err(Denied::Disabled)
    } else if own
        .expires_at
        .is_some_and(|expiry| expiry.as_millis() <= asked.at)
    {
        Err(Denied::Expired)
    } else if !own.networks.is_empty() && !networks.any(|network| network.contains(&asked.from)) {
        Err(Denied::Network)
    } else if !own.scopes.cover(asked.route, asked.method) {
        Err(Denied::Scope)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;

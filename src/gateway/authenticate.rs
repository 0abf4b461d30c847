//! Who sends a request, and whether they may.

use std::{net::IpAddr, rc::Rc};

use flexgate_schemas::{
    ApiKey, RouteId,
    key::SecretHash,
    policy::{AuthMode, CredentialKind},
};
use futures_util::{FutureExt, future::LocalBoxFuture};
use http::Method;

use super::{
    ask::Answer,
    basic,
    caller::Caller,
    certificates::Whose,
    credential::{Credential, Wanted},
    exchange::{Arrived, Exchange, Routed},
    matching,
    refusal::Refusal,
    replay,
    shown::Sent,
    signature::{self, Claimed, SignatureFault, Signed},
    tokens::{Found, TokenCaller, TokenFault},
};
use crate::{domain::Keys, egress::undressed};

/// No key is longer, in bytes; what is sent is hashed before anything is known of it.
const KEY_BYTES_MAX: usize = 512;

/// Why somebody may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// They do not say who they are.
    NoCredential,
    /// They say it by what the route does not take.
    NotAccepted,
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
    /// The token is not good.
    Token(TokenFault),
    /// The signature is not good.
    Signature(SignatureFault),
    /// The signature was good, for a request that came before.
    Replayed,
    /// The token is good, and lacks a claim that is asked for.
    Claim,
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

impl<'a> Asked<'a> {
    fn of(exchange: &'a Exchange, route: &'a RouteId) -> Self {
        Self {
            at: exchange.arrival.at.div_euclid(1000),
            from: exchange.client_address,
            route,
            method: &exchange.method,
        }
    }
}

/// What is known of a request so far.
pub(super) enum Ruling {
    /// It may pass.
    Passes,
    /// It may not.
    Refused(Refusal),
    /// Somebody has to be waited for, who may refuse it. After that it is ruled anew, and if that has come no further, refused.
    Waits(LocalBoxFuture<'static, Result<(), Refusal>>, Refusal),
    /// Somebody has to be waited for, who decides it.
    Depends(LocalBoxFuture<'static, Result<(), Refusal>>),
}

impl From<Denied> for Ruling {
    fn from(denied: Denied) -> Self {
        Self::Refused(Refusal::Denied(denied))
    }
}

impl From<Result<(), Denied>> for Ruling {
    fn from(verdict: Result<(), Denied>) -> Self {
        verdict.map_or_else(Self::from, |()| Self::Passes)
    }
}

/// Takes out what only we say of clients, before anything is decided by it.
#[expect(clippy::unnecessary_wraps, reason = "a step may refuse, this one does not")]
pub(super) fn disown(mut request: Arrived) -> Result<Arrived, Refusal> {
    for field in &request.exchange.snapshot.tokens.fields {
        request.headers.remove(field);
    }
    Ok(request)
}

/// Lets those pass who may. A credential that was checked has done what it is for: the upstream is told whose it was instead.
pub(super) fn authenticate(mut request: Routed) -> Answer<Routed> {
    if request.route.auth.mode == AuthMode::None {
        return Answer::Now(Ok(request));
    }
    match rule(&mut request) {
        Ruling::Passes => Answer::Now(Ok(request)),
        Ruling::Refused(refusal) => Answer::Now(Err(refusal)),
        Ruling::Waits(until, otherwise) => Answer::Later(Box::pin(async move {
            until.await?;
            match rule(&mut request) {
                Ruling::Passes => Ok(request),
                Ruling::Refused(refusal) => Err(refusal),
                Ruling::Waits(..) => Err(otherwise),
                Ruling::Depends(verdict) => verdict.await.map(|()| request),
            }
        })),
        Ruling::Depends(verdict) => Answer::Later(Box::pin(async move { verdict.await.map(|()| request) })),
    }
}

fn rule(request: &mut Routed) -> Ruling {
    let arrived = &request.arrived;
    let (auth, route) = (request.route.auth, &request.route.route);
    let credential = wanted(&arrived.exchange).in_request(&arrived.headers, arrived.look);
    let ruling = match credential {
        _ if credential.kind().is_some_and(|kind| !auth.accepts(kind)) => Denied::NotAccepted.into(),
        Credential::None
            if auth.accepts(CredentialKind::Certificate) && arrived.exchange.has_known_certificate() =>
        {
            by_certificate(&arrived.exchange, &route.id).into()
        }
        Credential::None if auth.mode == AuthMode::Optional => return Ruling::Passes,
        Credential::None => Denied::NoCredential.into(),
        Credential::Several => Denied::Invalid.into(),
        Credential::Key(sent) => by_key(&arrived.exchange, &route.id, sent).into(),
        Credential::Signature(text) => by_signature(arrived, &route.id, text)
            .map_or_else(Ruling::from, |claimed| replay::once(&arrived.exchange, &claimed)),
        Credential::Basic(sent) => basic::by_password(&arrived.exchange, &route.id, sent),
        Credential::Token(token) => by_token(&arrived.exchange, &route.id, token),
    };
    if matches!(ruling, Ruling::Passes | Ruling::Depends(_))
        && !arrived.exchange.snapshot.settings.auth.forward_credential
    {
        let Arrived {
            exchange,
            headers,
            look,
            ..
        } = &mut request.arrived;
        wanted(exchange).strip(headers, *look);
    }
    ruling
}

fn wanted(exchange: &Exchange) -> Wanted<'_> {
    Wanted {
        field: exchange.snapshot.settings.auth.header(),
        tokens: !exchange.snapshot.tokens.is_empty(),
        names: !exchange.snapshot.usernames.is_empty(),
    }
}

/// By an API key. Whose it is, is known from the moment when its secret is: also of a request that is refused all the same.
fn by_key(exchange: &Exchange, route: &RouteId, sent: &[u8]) -> Result<(), Denied> {
    if sent.len() > KEY_BYTES_MAX {
        return Err(Denied::Invalid);
    }
    let sent = exchange.client.shown.look_into(sent);
    let asked = Asked::of(exchange, route);
    let key = find(&exchange.snapshot.keys, &sent).filter(|key| proves(key, &sent.hash, asked.at));
    let key = key.ok_or(Denied::Invalid)?;
    exchange.caller.get_or_init(|| Caller::with(key));
    verdict(key, &asked)
}

/// By a signature of the request. What the body must come to is left for whoever reads it.
fn by_signature(arrived: &Arrived, route: &RouteId, text: &[u8]) -> Result<Claimed, Denied> {
    let exchange = &arrived.exchange;
    let asked = Asked::of(exchange, route);
    let claimed = Claimed::read(text).map_err(Denied::Signature)?;
    claimed
        .check_time(asked.at.div_euclid(1000))
        .map_err(Denied::Signature)?;
    let digest = signature::digest_of(&arrived.headers).map_err(Denied::Signature)?;
    let signed = Signed {
        method: exchange.method.as_str(),
        host: matching::authority(arrived).unwrap_or_default(), // it was found good when the route was
        path: exchange.uri.path(),
        query: exchange.uri.query().unwrap_or_default(),
    };
    let signer = exchange.snapshot.signers.get(&claimed.key);
    let genuine = signer.filter(|signer| signer.verify(&claimed, signed, &digest, asked.at));
    let key = genuine.and_then(|_| exchange.snapshot.keys.get(&claimed.key));
    let key = &key.ok_or(Denied::Signature(SignatureFault::Wrong))?.value;
    exchange.caller.get_or_init(|| Caller::with(key));
    verdict(key, &asked)?;
    if !arrived.body.is_end_stream() {
        exchange.body_digest.set(Some(digest));
    } else if !signature::is_of_nothing(&digest) {
        return Err(Denied::Signature(SignatureFault::Body));
    }
    Ok(claimed)
}

impl Exchange {
    /// Whether its client has shown a certificate that stands for a key.
    fn has_known_certificate(&self) -> bool {
        let certificates = &self.snapshot.certificates;
        let names = self.client.certificate.get().filter(|_| !certificates.is_empty());
        names.is_some_and(|names| certificates.whose(names) != Whose::Nobodys)
    }
}

/// By the certificate that the client has shown. It was verified when the connection was made.
fn by_certificate(exchange: &Exchange, route: &RouteId) -> Result<(), Denied> {
    let names = exchange.client.certificate.get();
    let whose = names.map_or(Whose::Nobodys, |names| {
        exchange.snapshot.certificates.whose(names)
    });
    let Whose::Of(id) = whose else {
        return Err(Denied::Invalid);
    };
    let key = exchange.snapshot.keys.get(&id).ok_or(Denied::Invalid)?;
    admit(exchange, route, &key.value)
}

/// Lets in whoever has proved to have this key, if it opens what is asked of it.
pub(super) fn admit(exchange: &Exchange, route: &RouteId, key: &ApiKey) -> Result<(), Denied> {
    exchange.caller.get_or_init(|| Caller::with(key));
    verdict(key, &Asked::of(exchange, route))
}

/// By a token of somebody who vouches for the client.
fn by_token(exchange: &Exchange, route: &RouteId, token: &str) -> Ruling {
    let known = &exchange.client.core.known_tokens;
    let now = exchange.arrival.at.div_euclid(1_000_000);
    match exchange.snapshot.tokens.find(known, token, now) {
        Found::Caller(caller) => vouched(exchange, route, caller).into(),
        Found::Missing(fetched, otherwise) => {
            let refusal = match *otherwise {
                Found::Fault(fault) => Refusal::Denied(Denied::Token(fault)),
                _ => Refusal::NoTokenKeys,
            };
            Ruling::Waits(fetched.map(Ok).boxed_local(), refusal)
        }
        Found::Fault(fault) => Denied::Token(fault).into(),
        Found::NoKeys => Ruling::Refused(Refusal::NoTokenKeys),
    }
}

fn vouched(exchange: &Exchange, route: &RouteId, caller: Rc<TokenCaller>) -> Result<(), Denied> {
    let lacks = caller.lacks;
    let key = match &caller.key {
        None => None,
        Some(id) => {
            let entry = exchange.snapshot.keys.get(id);
            Some(&entry.ok_or(Denied::Token(TokenFault::Key))?.value)
        }
    };
    exchange.caller.get_or_init(|| Caller::Token(caller));
    if lacks {
        return Err(Denied::Claim);
    }
    key.map_or(Ok(()), |key| verdict(key, &Asked::of(exchange, route)))
}

/// The key that this may be a secret of: the one that it names, else the one that its hash does.
fn find<'k>(keys: &'k Keys, sent: &Sent) -> Option<&'k ApiKey> {
    let claimed = sent.claimed.and_then(|id| keys.get(&id));
    let found = claimed.or_else(|| keys.get(&sent.hash.derived_id()));
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
    } else if !own.networks.is_empty() && !networks.any(|network| undressed(*network).contains(&asked.from)) {
        Err(Denied::Network)
    } else if !own.scopes.cover(asked.route, asked.method) {
        Err(Denied::Scope)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;

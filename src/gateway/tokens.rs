//! JSON Web Tokens (RFC 7519) as credentials: whose they are, and whether that is true.

mod caller;
mod claims;
mod fetch;
mod keep;
mod key;
mod known;
mod published;
#[cfg(test)]
mod tests;
mod verify;

use std::{collections::BTreeSet, rc::Rc, sync::Arc, time::Instant};

use aws_lc_rs::digest::{SHA256, digest};
use flexgate_schemas::{
    TokenProvider,
    secret::Purpose,
    tokens::{KeySource, Named},
};
use futures_util::future::LocalBoxFuture;
use http::HeaderName;

pub use self::keep::{TokenKeys, TokenKeysReport};
pub(super) use self::{
    caller::TokenCaller,
    known::KnownTokens,
    published::{FETCH_PAUSE, FetchDesk},
    verify::TokenFault,
};
use self::{
    key::Keys,
    known::{Digest, Known},
    published::PublishedKeys,
    verify::Parts,
};
use super::snapshot::Secrets;

/// What tokens are checked by: made anew when the settings change what they say of them.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    providers: Box<[Provider]>,
    /// Fields that only we say something in.
    pub(super) fields: Box<[HeaderName]>,
}

#[derive(Debug)]
struct Provider {
    settings: TokenProvider,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Here(Arc<Keys>),
    Published(Arc<PublishedKeys>),
}

/// What a token comes to.
pub(super) enum Found {
    /// A caller.
    Caller(Rc<TokenCaller>),
    /// Nobody.
    Fault(TokenFault),
    /// That cannot be said: this node has never had the keys of the provider.
    NoKeys,
    /// Keys are fetched; after that it can be said. Then, or if there is nothing to wait for, it is what stands beside it.
    Missing(LocalBoxFuture<'static, ()>, Box<Found>),
}

impl Tokens {
    /// `before` is what was served until now: keys that it has already are not fetched again.
    pub(super) fn compile(
        providers: &[TokenProvider],
        before: &Self,
        secrets: &Secrets,
        desk: &Arc<FetchDesk>,
    ) -> Self {
        let provider = |settings: &TokenProvider| Provider {
            source: Source::of(settings, before, secrets, desk),
            settings: settings.clone(),
        };
        let fields = providers
            .iter()
            .flat_map(|provider| provider.claims_to_headers.values());
        let fields: BTreeSet<_> = fields.map(|field| field.as_header().as_str()).collect();
        let name = |name: &str| HeaderName::try_from(name).ok();
        Self {
            providers: providers.iter().map(provider).collect(),
            fields: fields.into_iter().filter_map(name).collect(),
        }
    }

    /// Whether tokens are credentials at all.
    pub(super) fn is_empty(&self) -> bool {
        self.providers.is_empty()
    }

    /// Whose token this is, at this time in seconds since 1970.
    pub(super) fn find(self: &Arc<Self>, known: &KnownTokens, token: &str, now: i64) -> Found {
        let hash: Digest = digest(&SHA256, token.as_bytes())
            .as_ref()
            .try_into()
            .expect("32 bytes");
        if let Some(found) = known.get(self, &hash) {
            if self.has(&found.keys) {
                return match found.verified.holds(now) {
                    Ok(()) => Found::Caller(found.caller),
                    Err(fault) => Found::Fault(fault),
                };
            }
            known.forget(&hash);
        }
        let parts = match Parts::of(token) {
            Ok(parts) => parts,
            Err(fault) => return Found::Fault(fault),
        };
        let issuer = parts.issuer();
        let provider = self
            .providers
            .iter()
            .find(|one| Some(&*one.settings.issuer) == issuer);
        let Some(provider) = provider else {
            return Found::Fault(TokenFault::Issuer);
        };
        let Some(keys) = provider.source.keys() else {
            return provider.source.missing(Found::NoKeys);
        };
        let verified = parts.verify(&provider.settings, &keys, now);
        let caller =
            verified.and_then(|verified| Ok((verified, TokenCaller::of(&provider.settings, &parts.claims)?)));
        match caller {
            Ok((verified, caller)) => {
                let caller = Rc::new(caller);
                let found = Known {
                    caller: Rc::clone(&caller),
                    verified,
                    keys,
                };
                known.put(hash, found);
                Found::Caller(caller)
            }
            Err(fault @ TokenFault::UnknownKey) => provider.source.missing(Found::Fault(fault)),
            Err(fault) => Found::Fault(fault),
        }
    }

    /// Whether these are the keys of one of the providers, still.
    fn has(&self, keys: &Arc<Keys>) -> bool {
        let mut sources = self.providers.iter().map(|provider| &provider.source);
        sources.any(|source| match source {
            Source::Here(own) => Arc::ptr_eq(own, keys),
            Source::Published(published) => published.is(keys),
        })
    }

    /// Every provider that publishes its keys, and where.
    fn published(&self) -> impl Iterator<Item = (&TokenProvider, &Arc<PublishedKeys>)> {
        self.providers
            .iter()
            .filter_map(|provider| match &provider.source {
                Source::Here(_) => None,
                Source::Published(keys) => Some((&provider.settings, keys)),
            })
    }
}

impl Source {
    fn of(provider: &TokenProvider, before: &Tokens, secrets: &Secrets, desk: &Arc<FetchDesk>) -> Self {
        let keys = match &provider.keys {
            KeySource::Published(algorithms, url) => {
                let mut published = before.published().map(|(_, keys)| keys);
                let same = published.find(|keys| keys.url == *url && *keys.algorithms == **algorithms);
                let new = || Arc::new(PublishedKeys::new(url.clone(), algorithms, desk));
                return Self::Published(same.map_or_else(new, Arc::clone));
            }
            KeySource::Public(algorithms, keys) => Keys::public(keys, algorithms),
            KeySource::Shared(algorithms, keys) => {
                let resolved = keys.iter().filter_map(|Named { kid, key }| {
                    let missing = |reason| {
                        tracing::warn!(provider = %provider.name, secret = ?key, %reason, "a key of a token provider cannot be resolved");
                    };
                    let key = secrets(key, Purpose::Tokens).map_err(missing).ok()?;
                    Some(Named { kid: kid.clone(), key })
                });
                Keys::shared(resolved.collect(), algorithms)
            }
        };
        if keys.is_empty() {
            tracing::warn!(
                provider = %provider.name,
                "a token provider has no key that can be used: its tokens are refused"
            );
        }
        Self::Here(Arc::new(keys))
    }

    /// None: they were never there.
    fn keys(&self) -> Option<Arc<Keys>> {
        match self {
            Self::Here(keys) => Some(Arc::clone(keys)).filter(|keys| !keys.is_empty()),
            Self::Published(published) => published.current(),
        }
    }

    fn missing(&self, otherwise: Found) -> Found {
        let asked = match self {
            Self::Here(_) => None,
            Self::Published(published) => published.ask(Instant::now()),
        };
        match asked {
            Some(fetched) => Found::Missing(Box::pin(fetched), Box::new(otherwise)),
            None => otherwise,
        }
    }
}

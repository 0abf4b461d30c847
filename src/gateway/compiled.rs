//! Routes and upstreams as requests use them: everything that can be worked out before a request comes, is.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use flexgate_schemas::{
    Millis, Route, Secret, Settings, Size, Upstream, UpstreamId, UpstreamRef, UpstreamUrl,
    policy::Auth,
    rate_limit::Cost,
    secret::Purpose,
    transport::{Protocol, UpstreamTls},
};
use http::HeaderValue;

use super::{
    balance::{self, Turns},
    metrics::Series,
    origin::Origin,
    policies::{NO_POLICIES, Policies},
    snapshot::{SecretMissing, Secrets, Upstreams, Workshop},
};
use crate::routing::{PathChange, Ruled};

/// A route, and where its requests go. What every request asks of its route lies here and not in [`Route`]: among 100,000
/// of them a request waits for each place in memory that it has to look into.
#[derive(Debug)]
pub(super) struct CompiledRoute {
    pub(super) route: Arc<Route>,
    pub(super) destination: Destination,
    /// What becomes of the path.
    pub(super) path: PathChange,
    /// See [`Route::allow_encoded_slashes`].
    pub(super) allow_encoded_slashes: bool,
    /// See [`Route::preserve_host`].
    pub(super) preserve_host: bool,
    /// See [`Route::auth`].
    pub(super) auth: Auth,
    /// See [`Route::cost`].
    pub(super) cost: Cost,
    /// See [`Route::max_body_size`].
    pub(super) max_body_size: Option<Size>,
    timeout: Option<Millis>,
    policies: Option<Box<Policies>>,
    /// What `chosen_series` holds, once it was asked.
    series: OnceLock<Series>,
    /// Chosen by the first request; the next version of the route goes on with it.
    chosen_series: Arc<OnceLock<Series>>,
    /// The pattern of its path, as text.
    pub(super) pattern: Box<str>,
}

/// Where the requests of a route go.
#[derive(Debug)]
pub(super) enum Destination {
    /// To the upstream of this name, in the same snapshot.
    Named(UpstreamId),
    /// To an upstream that only this route has: it gave a URL.
    Own {
        url: Box<str>,
        upstream: Arc<CompiledUpstream>,
    },
}

impl Destination {
    /// The upstream's name, or the URL that the route gives.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Named(id) => id.as_str(),
            Self::Own { url, .. } => url,
        }
    }
}

/// An upstream, and how it is reached.
#[derive(Debug)]
pub(super) struct CompiledUpstream {
    pub(super) targets: Box<[Arc<CompiledTarget>]>,
    /// See [`balance::stride`].
    pub(super) stride: u64,
    /// Whose turn it is; the next version of the upstream goes on with it.
    pub(super) turns: Arc<Turns>,
    pub(super) authorization: Authorization,
    timeout: Option<Millis>,
    connect_timeout: Option<Millis>,
}

/// One target of an upstream.
#[derive(Debug)]
pub(super) struct CompiledTarget {
    pub(super) origin: Arc<Origin>,
    /// What precedes every path; often empty.
    pub(super) base: Box<str>,
    /// Targets up to and including this one have this share of the requests, in whole units of weight.
    pub(super) share_end: u64,
}

/// What is sent as `Authorization`.
#[derive(Debug)]
pub(super) enum Authorization {
    /// What the client sent.
    Client,
    /// This, marked as sensitive.
    Own(HeaderValue),
    /// There should be a credential, but this node cannot resolve it: nothing is sent at all.
    Missing,
}

impl CompiledRoute {
    /// `before` is the route's previous version, whose counters go on. `upstreams` are those of the same snapshot.
    pub(super) fn compile(
        route: &Arc<Route>,
        before: Option<&Self>,
        upstreams: &Upstreams,
        workshop: &mut Workshop,
    ) -> Self {
        let destination = match &route.upstream {
            // The upstream's own copy of its name, which all of its routes share.
            UpstreamRef::Named(id) => {
                Destination::Named(upstreams.get_key_value(id).map_or(id, |(own, _)| own).clone())
            }
            UpstreamRef::Url(url) => Destination::Own {
                url: url.to_string().into(),
                upstream: Arc::new(CompiledUpstream::of_url(url, workshop)),
            },
        };
        let chosen_series = before
            .map(|before| Arc::clone(&before.chosen_series))
            .unwrap_or_default();
        let policies_before = before.map_or(&NO_POLICIES, Self::policies);
        Self {
            route: Arc::clone(route),
            destination,
            path: PathChange::of(route),
            allow_encoded_slashes: route.allow_encoded_slashes,
            preserve_host: route.preserve_host,
            auth: route.auth,
            cost: route.cost,
            max_body_size: route.max_body_size,
            timeout: route.timeout,
            policies: Policies::compile(route, policies_before, &workshop.limiter),
            series: OnceLock::new(),
            chosen_series,
            pattern: route.path.to_string().into(),
        }
    }

    /// What it says beyond where its requests go.
    pub(super) fn policies(&self) -> &Policies {
        self.policies.as_deref().unwrap_or(&NO_POLICIES)
    }

    /// Where its requests count.
    pub(super) fn series(&self) -> Series {
        let chosen = || *self.chosen_series.get_or_init(Series::next);
        *self.series.get_or_init(chosen)
    }

    /// How long the response may take to begin: what the route says, else the upstream, else the settings. A client that
    /// says how long it waits shortens that, and replaces it where nobody has said anything.
    pub(super) fn timeout(
        &self,
        upstream: &CompiledUpstream,
        settings: &Settings,
        client: Option<Duration>,
    ) -> Duration {
        let said = self.timeout.or(upstream.timeout).or(settings.timeout);
        match (said.map(Millis::duration), client) {
            (Some(said), Some(client)) => said.min(client),
            (said, client) => said.or(client).unwrap_or(Settings::TIMEOUT.duration()),
        }
    }
}

impl Ruled for Arc<CompiledRoute> {
    fn route(&self) -> &Route {
        &self.route
    }
}

impl CompiledUpstream {
    /// `before` is the upstream's previous version, whose turn goes on.
    pub(super) fn compile(upstream: &Upstream, before: Option<&Self>, workshop: &mut Workshop) -> Self {
        let authorization = match &upstream.authorization {
            None => Authorization::Client,
            Some(secret) => credential(secret, &workshop.secrets).unwrap_or_else(|reason| {
                tracing::warn!(
                    upstream = %upstream.name, ?secret, %reason,
                    "the credential of an upstream cannot be resolved: its requests are refused"
                );
                Authorization::Missing
            }),
        };
        let weighted = upstream
            .targets
            .as_slice()
            .iter()
            .map(|target| (&target.url, u64::from(target.weight.get())));
        let transport = (upstream.protocol, upstream.tls.as_ref());
        let (targets, stride) = targets(weighted, transport, workshop);
        Self {
            targets,
            stride,
            turns: before.map(|before| Arc::clone(&before.turns)).unwrap_or_default(),
            authorization,
            timeout: upstream.timeout,
            connect_timeout: upstream.connect_timeout,
        }
    }

    fn of_url(url: &UpstreamUrl, workshop: &mut Workshop) -> Self {
        let (targets, stride) = targets(std::iter::once((url, 1)), (Protocol::Auto, None), workshop);
        Self {
            targets,
            stride,
            turns: Arc::default(),
            authorization: Authorization::Client,
            timeout: None,
            connect_timeout: None,
        }
    }

    /// How long a connection may take to be made: what the upstream says, else the settings.
    pub(super) fn connect_timeout(&self, settings: &Settings) -> Duration {
        let said = self.connect_timeout.or(settings.connect_timeout);
        said.unwrap_or(Settings::CONNECT_TIMEOUT).duration()
    }
}

fn credential(secret: &Secret, secrets: &Secrets) -> Result<Authorization, SecretMissing> {
    let mut value = HeaderValue::try_from(secrets(secret, Purpose::Upstream)?)
        .map_err(|_| SecretMissing(format!("{secret:?} has characters that no header field can have")))?;
    value.set_sensitive(true);
    Ok(Authorization::Own(value))
}

/// A target whose host no origin can have is left out: without any the upstream has no target.
fn targets<'u>(
    weighted: impl Iterator<Item = (&'u UpstreamUrl, u64)>,
    transport: (Protocol, Option<&UpstreamTls>),
    Workshop { origins, secrets, .. }: &mut Workshop,
) -> (Box<[Arc<CompiledTarget>]>, u64) {
    let mut share_end = 0;
    let mut target = |(url, weight): (&UpstreamUrl, u64)| {
        let origin = origins.of(url, transport, secrets)?;
        share_end += weight;
        Some(Arc::new(CompiledTarget {
            origin,
            base: url.base().into(),
            share_end,
        }))
    };
    let targets = weighted.filter_map(&mut target).collect();
    (targets, balance::stride(share_end.max(1)))
}

//! Routes and upstreams as requests use them: everything that can be worked out before a request comes, is.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use flexgate_schemas::{
    Millis, Route, Secret, Settings, Upstream, UpstreamId, UpstreamRef, UpstreamUrl,
    compression::Compressing,
    secret::Purpose,
    transport::{Protocol, UpstreamTls},
};
use http::HeaderValue;

use super::{
    access::CompiledAccess,
    balance::{self, Turns},
    choice::Choice,
    compress,
    cors::CompiledCors,
    edits::CompiledEdits,
    metrics::Series,
    origin::Origin,
    rate_limit::CompiledLimits,
    snapshot::{SecretMissing, Secrets, Workshop},
    validate::CompiledValidation,
};
use crate::routing::Ruled;

/// A route, and where its requests go.
#[derive(Debug)]
pub(super) struct CompiledRoute {
    pub(super) route: Arc<Route>,
    /// The pattern of its path, as text.
    pub(super) pattern: Box<str>,
    pub(super) destination: Destination,
    /// From where its requests may come, if it says so.
    pub(super) access: Option<Box<CompiledAccess>>,
    /// What its requests must be, if it says so.
    pub(super) validation: Option<Arc<CompiledValidation>>,
    /// What it does to messages, if it does anything.
    pub(super) edits: Option<Box<CompiledEdits>>,
    /// What it says of pages of other origins.
    pub(super) cors: Choice<CompiledCors>,
    /// What it says of compression.
    pub(super) compression: Choice<Compressing>,
    /// How many requests it takes, if it says so.
    pub(super) limits: Option<Box<CompiledLimits>>,
    /// Chosen by the first request; the next version of the route goes on with it.
    series: Arc<OnceLock<Series>>,
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
    /// `before` is the route's previous version, whose counters go on.
    pub(super) fn compile(route: &Arc<Route>, before: Option<&Self>, workshop: &mut Workshop) -> Self {
        let destination = match &route.upstream {
            UpstreamRef::Named(id) => Destination::Named(id.clone()),
            UpstreamRef::Url(url) => Destination::Own {
                url: url.to_string().into(),
                upstream: Arc::new(CompiledUpstream::of_url(url, workshop)),
            },
        };
        let series = before
            .map(|before| Arc::clone(&before.series))
            .unwrap_or_default();
        Self {
            route: Arc::clone(route),
            pattern: route.path.to_string().into(),
            destination,
            access: CompiledAccess::compile(&route.access),
            edits: CompiledEdits::compile(route),
            validation: CompiledValidation::compile(
                route,
                before.and_then(|before| before.validation.as_ref()),
            ),
            cors: CompiledCors::compile(route.cors.as_ref()),
            compression: compress::compile(route.compression.as_ref()),
            limits: CompiledLimits::of_route(route.id.as_str(), route.rate_limit.as_ref(), &workshop.limiter),
            series,
        }
    }

    /// Where its requests count.
    pub(super) fn series(&self) -> Series {
        *self.series.get_or_init(Series::next)
    }

    /// How long the response may take to begin: what the route says, else the upstream, else the settings. A client that
    /// says how long it waits shortens that, and replaces it where nobody has said anything.
    pub(super) fn timeout(
        &self,
        upstream: &CompiledUpstream,
        settings: &Settings,
        client: Option<Duration>,
    ) -> Duration {
        let said = self.route.timeout.or(upstream.timeout).or(settings.timeout);
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

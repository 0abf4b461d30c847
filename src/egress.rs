//! Where requests may go: one pure verdict on a host and an address that it stands for.
//!
//! The domain asks at the edit, where a URL has an address in it; the gateway asks for every new connection, with the
//! very address that it is about to dial, so that no name and no form of an address can lead around it.

mod address;
mod lists;
mod named;
#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc};

use flexgate_schemas::{Security, Upstream, security::Host};
use ipnet::IpNet;

pub use address::Kind;
use lists::Lists;
pub(crate) use lists::undressed;
use named::NamedHosts;

/// What the configuration says of where requests may go. A clone shares everything with its original.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    lists: Arc<Lists>,
    named: NamedHosts,
}

/// On whose behalf something is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behalf {
    /// A client's: it goes to an upstream, or to the URL of a route. Whoever may write a route may write an upstream,
    /// so such a URL vouches for a private address as an upstream does, unless hosts are listed.
    Client,
    /// The gateway's own: whoever gave the URL vouches for nothing.
    Gateway,
}

/// Why requests do not go there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Prohibited {
    /// Programs disagree about what it stands for.
    #[error(
        "{0:?} is an address to some programs and a name to others: write an address as 127.0.0.1 is written"
    )]
    Number(Box<str>),
    /// Hosts are listed, and this is not one of them.
    #[error("{0} is not one of `security.allowedHosts`: list it, or name it in an upstream")]
    Unlisted(Host),
    /// Somebody blocked it.
    #[error("{address} is in {network}, which `security.blockedIPs` blocks")]
    Blocked {
        /// What would have been dialled.
        address: IpAddr,
        /// The entry that blocks it.
        network: IpNet,
    },
    /// No request goes to such an address unless it is listed itself.
    #[error("{address} is {kind}: list {address} in `security.allowedHosts` if requests shall go there")]
    Special {
        /// What would have been dialled.
        address: IpAddr,
        /// What is special about it.
        kind: Kind,
    },
    /// It is one of ours, and nobody vouches for the host.
    #[error(
        "{address} is {kind}: list {host} in `security.allowedHosts`, or name it in an upstream, if requests shall go there",
        kind = Kind::Private
    )]
    Private {
        /// What would have been dialled.
        address: IpAddr,
        /// What led there.
        host: Host,
    },
}

/// Whether a request may go to this address, to which this host led.
pub fn verdict(guard: &Guard, host: &Host, address: IpAddr, behalf: Behalf) -> Result<(), Prohibited> {
    let is_vouched_for = guard.admit(host, behalf)?;
    let address = address.to_canonical();
    if let Some(network) = guard.lists.block(address) {
        return Err(Prohibited::Blocked { address, network });
    }
    match Kind::of(address) {
        Kind::Public => Ok(()),
        Kind::Private if is_vouched_for => Ok(()),
        Kind::Private => Err(Prohibited::Private {
            address,
            host: host.clone(),
        }),
        _ if guard.lists.names_one_by_one(host, address) => Ok(()),
        kind => Err(Prohibited::Special { address, kind }),
    }
}

/// What can be said of a host before it is resolved: everything, if it is an address.
pub fn verdict_on_host(guard: &Guard, host: &Host, behalf: Behalf) -> Result<(), Prohibited> {
    match host.address() {
        Some(address) => verdict(guard, host, address, behalf),
        None => guard.admit(host, behalf).map(drop),
    }
}

impl Guard {
    /// Puts these lists in the place of the old ones.
    pub fn set_lists(&mut self, security: &Security) {
        self.lists = Arc::new(Lists::of(security));
    }

    /// Takes note of what hosts an upstream names, in the place of those that it named before.
    pub fn set_named(&mut self, before: Option<&Upstream>, now: Option<&Upstream>) {
        // In this order: a host that both name is never unnamed in between, and keeps its place in the map.
        now.into_iter()
            .flat_map(hosts)
            .for_each(|host| self.named.add(host));
        before
            .into_iter()
            .flat_map(hosts)
            .for_each(|host| self.named.remove(&host));
    }

    /// Whether hosts are listed, and this is not one of them.
    pub fn leaves_out(&self, host: &Host) -> bool {
        self.lists.are_exclusive() && !self.lists.list(host)
    }

    /// Addresses that are listed although they are blocked.
    pub fn blocked_though_listed(&self) -> impl Iterator<Item = (IpAddr, IpNet)> {
        self.lists.blocked_though_listed()
    }

    /// Whether there is something to ask of this host at all, and if so, whether somebody vouches for it.
    fn admit(&self, host: &Host, behalf: Behalf) -> Result<bool, Prohibited> {
        if let Host::Number(text) = host {
            return Err(Prohibited::Number(text.clone()));
        }
        if self.named.contains(host) || self.lists.list(host) {
            return Ok(true);
        }
        if self.lists.are_exclusive() {
            return Err(Prohibited::Unlisted(host.clone()));
        }
        Ok(behalf == Behalf::Client)
    }
}

/// The hosts of an upstream, each as often as it has targets there.
fn hosts(upstream: &Upstream) -> impl Iterator<Item = Host> {
    let targets = upstream.targets.as_slice().iter();
    targets.map(|target| Host::of(target.url.host()))
}

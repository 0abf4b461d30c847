//! The lists of the settings, made ready to be asked.

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
};

use flexgate_schemas::{
    HostPattern, Security,
    security::{AllowedHost, Host},
};
use ipnet::{IpNet, Ipv4Net};

use super::address::embedded_v4;

/// `security` of the settings. Compiled when they change; asked for every new connection, never for a request.
#[derive(Debug, Default)]
pub(super) struct Lists {
    allowed: Option<Allowed>,
    /// At most [`flexgate_schemas::security::ENTRIES_MAX`]: to look through them costs less than the system call after it.
    blocked: Box<[IpNet]>,
}

#[derive(Debug, Default)]
struct Allowed {
    addresses: BTreeSet<IpAddr>,
    names: HashSet<Box<str>>,
    /// Names below one of these, too.
    suffixes: HashSet<Box<str>>,
}

impl Lists {
    pub(super) fn of(security: &Security) -> Self {
        let blocked = security.blocked_ips.iter().copied();
        Self {
            allowed: security.allowed_hosts.as_deref().map(Allowed::of),
            blocked: blocked.map(undressed).collect(),
        }
    }

    /// Whether only what is listed is allowed.
    pub(super) fn are_exclusive(&self) -> bool {
        self.allowed.is_some()
    }

    /// Whether a host is listed, itself or with others.
    pub(super) fn list(&self, host: &Host) -> bool {
        self.allowed
            .as_ref()
            .is_some_and(|allowed| allowed.has(host) || allowed.has_below(host))
    }

    /// Whether an address is listed itself, and so is what led there.
    pub(super) fn names_one_by_one(&self, host: &Host, address: IpAddr) -> bool {
        self.allowed
            .as_ref()
            .is_some_and(|allowed| allowed.has(host) && allowed.addresses.contains(&address))
    }

    /// What blocks an address, if something does; also what blocks the IPv4 address that it stands for.
    pub(super) fn block(&self, address: IpAddr) -> Option<IpNet> {
        let embedded = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => embedded_v4(address).map(IpAddr::V4),
        };
        let blocks =
            |network: &IpNet| network.contains(&address) || embedded.is_some_and(|v4| network.contains(&v4));
        self.blocked.iter().copied().find(blocks)
    }

    pub(super) fn blocked_though_listed(&self) -> impl Iterator<Item = (IpAddr, IpNet)> {
        let listed = self.allowed.iter().flat_map(|allowed| &allowed.addresses);
        listed.filter_map(|address| Some((*address, self.block(*address)?)))
    }
}

impl Allowed {
    fn of(hosts: &[AllowedHost]) -> Self {
        let mut allowed = Self::default();
        for host in hosts.iter().cloned() {
            match host {
                AllowedHost::Address(address) => allowed.addresses.insert(address),
                AllowedHost::Name(HostPattern::Exact(name)) => allowed.names.insert(name),
                AllowedHost::Name(HostPattern::Wildcard(suffix)) => allowed.suffixes.insert(suffix),
            };
        }
        allowed
    }

    fn has(&self, host: &Host) -> bool {
        match host {
            Host::Address(address) => self.addresses.contains(address),
            Host::Name(name) => self.names.contains(name),
            Host::Number(_) => false,
        }
    }

    fn has_below(&self, host: &Host) -> bool {
        let Host::Name(name) = host else { return false };
        let mut suffixes = name.match_indices('.').map(|(dot, _)| &name[dot + 1..]);
        suffixes.any(|suffix| self.suffixes.contains(suffix))
    }
}

/// A network of mapped addresses is the network of those that they stand for: no address is compared as a mapped one.
pub(crate) fn undressed(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let mapped = v6.network().to_ipv4_mapped();
    let v4 = mapped.and_then(|v4| Ipv4Net::new(v4, v6.prefix_len().checked_sub(96)?).ok());
    v4.map_or(network, IpNet::V4)
}

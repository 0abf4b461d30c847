//! `security.allowedHosts` and `security.blockedIPs`, held against the upstreams of the same file.
//!
//! Neither has a place in the settings of the cluster yet, so a gateway cannot hold connections to them. Refusing every
//! file that has them would refuse the README's own example, and taking them without a word would be a lie. So what can
//! be decided from the file alone is decided, as a mistake: an address in a blocked network, a link-local or metadata
//! address that nobody listed, a URL in a route that is not on the list. What cannot is said as a warning: the
//! addresses that names resolve to, and what is created later through the API.
//!
//! A host that `upstreams` names is allowed thereby, listed or not: whoever wrote the list wrote that too. The README's
//! full example is of that kind.

use std::net::IpAddr;

use flexgate_schemas::{HostPattern, Upstream, UpstreamUrl};
use ipnet::IpNet;

use super::sections::Security;

/// Where a URL stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    /// In `upstreams`, which is a list of what is allowed.
    Upstream,
    /// In a route.
    Route,
}

/// Addresses at which clouds answer with credentials, beside the link-local ones.
const METADATA: [&str; 1] = ["fd00:ec2::254"];

/// What is wrong with sending requests there, if something is.
pub(super) fn objection(security: &Security, url: &UpstreamUrl, place: Where) -> Option<String> {
    let host = url.host();
    let listed = security.allowed_hosts.iter().flatten().map(|allowed| &allowed.0);
    let listed_one_by_one = listed
        .clone()
        .any(|pattern| matches!(pattern, HostPattern::Exact(name) if **name == *host));
    if let Some(address) = literal(host) {
        let blocked = security.blocked_ips.iter().flatten().map(|blocked| blocked.0);
        if let Some(network) = blocked
            .into_iter()
            .find(|network: &IpNet| network.contains(&address))
        {
            return Some(format!(
                "{host} is in {network}, which `security.blockedIPs` blocks"
            ));
        }
        if is_metadata(address) && !listed_one_by_one {
            return Some(format!(
                "{host} is a link-local or metadata address: list it in `security.allowedHosts` if requests shall go there"
            ));
        }
    }
    let exclusive = security.allowed_hosts.is_some();
    let off_the_list =
        exclusive && place == Where::Route && !listed.clone().any(|pattern| pattern.matches(host));
    off_the_list
        .then(|| format!("{host} is not one of `security.allowedHosts`: list it, or name it in `upstreams`"))
}

/// The hosts of an upstream that an explicit list leaves out.
pub(super) fn unlisted<'u>(security: &'u Security, upstream: &'u Upstream) -> impl Iterator<Item = &'u str> {
    let listed = security.allowed_hosts.as_deref();
    let hosts = upstream.targets.as_slice().iter().map(|target| target.url.host());
    hosts.filter(move |host| {
        listed.is_some_and(|listed| !listed.iter().any(|allowed| allowed.0.matches(host)))
    })
}

/// The address, if the host is one; an IPv4 address in IPv6 clothes is the IPv4 address.
fn literal(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

fn is_metadata(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    link_local || METADATA.iter().any(|known| known.parse() == Ok(address))
}

//! From where requests may come.
//!
//! What the settings say is asked before a route is looked for; what the route says narrows it. The address is the
//! client's, as far as trusted proxies can tell.

use std::net::IpAddr;

use flexgate_schemas::Access;
use ipnet::IpNet;

use super::{
    compiled::CompiledRoute,
    exchange::{Arrived, Exchange, Routed},
    refusal::Refusal,
};
use crate::egress::undressed;

/// Lists of networks, ready to be asked for every request.
#[derive(Debug)]
pub(super) struct CompiledAccess {
    /// None: everybody.
    allowed: Option<Networks>,
    denied: Networks,
}

/// Addresses, as ranges from first to last that neither meet nor touch, in order.
#[derive(Debug, Default)]
struct Networks {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl CompiledAccess {
    /// None for lists that let everybody through.
    pub(super) fn compile(access: &Access) -> Option<Box<Self>> {
        let allowed = (!access.allow.is_empty()).then(|| Networks::of(&access.allow));
        let is_idle = allowed.is_none() && access.deny.is_empty();
        (!is_idle).then(|| {
            let denied = Networks::of(&access.deny);
            Box::new(Self { allowed, denied })
        })
    }

    /// Whether a client with this address, which is no IPv4 address in IPv6 clothes, is let through.
    fn admits(&self, address: IpAddr) -> bool {
        let is_allowed = self.allowed.as_ref().is_none_or(|list| list.contain(address));
        is_allowed && !self.denied.contain(address)
    }
}

impl Networks {
    fn of(networks: &[IpNet]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks.iter().copied().map(undressed) {
            match network {
                IpNet::V4(network) => v4.push((network.network().to_bits(), network.broadcast().to_bits())),
                IpNet::V6(network) => v6.push((network.network().to_bits(), network.broadcast().to_bits())),
            }
        }
        Self {
            v4: joined(v4, |last| last.checked_add(1)),
            v6: joined(v6, |last| last.checked_add(1)),
        }
    }

    fn contain(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => is_within(&self.v4, address.to_bits()),
            IpAddr::V6(address) => is_within(&self.v6, address.to_bits()),
        }
    }
}

/// The same addresses in as few ranges as there can be, in order.
fn joined<T: Ord + Copy>(mut ranges: Vec<(T, T)>, next: impl Fn(T) -> Option<T>) -> Box<[(T, T)]> {
    ranges.sort_unstable();
    let mut joined: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match joined.last_mut() {
            // Nothing follows the last address there is, and whatever begins there is within already.
            Some((_, end)) if next(*end).is_none_or(|next| first <= next) => *end = last.max(*end),
            _ => joined.push((first, last)),
        }
    }
    joined.into()
}

fn is_within<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let before = ranges.partition_point(|(first, _)| *first <= address);
    before > 0 && address <= ranges[before - 1].1
}

/// Refuses whom the settings do not let through.
pub(super) fn admit(request: Arrived) -> Result<Arrived, Refusal> {
    let exchange = &request.exchange;
    judge(exchange.snapshot.access.as_deref(), exchange.client_address).map(|()| request)
}

/// Refuses whom the route does not let through.
pub(super) fn admit_to_route(request: Routed) -> Result<Routed, Refusal> {
    let address = request.arrived.exchange.client_address;
    judge(request.route.policies().access.as_deref(), address).map(|()| request)
}

/// Whether settings and route both let a request through.
pub(super) fn is_admitted(exchange: &Exchange, route: &CompiledRoute) -> bool {
    let lists = [&exchange.snapshot.access, &route.policies().access];
    let judged = lists.map(|list| judge(list.as_deref(), exchange.client_address));
    judged.iter().all(Result::is_ok)
}

fn judge(access: Option<&CompiledAccess>, address: IpAddr) -> Result<(), Refusal> {
    match access {
        Some(access) if !access.admits(address) => Err(Refusal::Address),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn compiled(json: &str) -> Option<Box<CompiledAccess>> {
        CompiledAccess::compile(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn what_is_denied_is_denied_whatever_allows_it() {
        let check = |json: &str, address: &str, expected: bool| {
            let admits = compiled(json).unwrap().admits(address.parse().unwrap());
            assert_eq!(admits, expected, "{json} {address}");
        };
        let office = r#"{"allow":["10.0.0.0/8","::ffff:192.0.2.0/120"],"deny":["10.0.0.7","fd00::/8"]}"#;
        check(office, "10.0.0.6", true);
        check(office, "10.0.0.7", false);
        check(office, "10.0.0.8", true);
        check(office, "11.0.0.0", false);
        check(office, "192.0.2.9", true); // which is what the mapped network stands for
        check(office, "2001:db8::1", false);
        check(r#"{"deny":["10.0.0.0/8"]}"#, "9.255.255.255", true);
        check(r#"{"deny":["10.0.0.0/8"]}"#, "10.255.255.255", false);
        check(r#"{"deny":["10.0.0.0/8"]}"#, "::1", true);
        check(r#"{"deny":["0.0.0.0/0"]}"#, "255.255.255.255", false);
        check(r#"{"allow":["::/0"]}"#, "::1", true);
        check(r#"{"allow":["::/0"]}"#, "127.0.0.1", false);
    }

    #[test]
    fn lists_that_let_everybody_through_are_not_asked() {
        assert!(compiled("{}").is_none());
        assert!(compiled(r#"{"allow":[],"deny":[]}"#).is_none());
    }

    /// Few addresses, so that networks meet, touch and repeat; both ends of each space among them.
    fn address() -> impl Strategy<Value = IpAddr> {
        let v4 = prop_oneof![0..40_u32, (u32::MAX - 40)..=u32::MAX];
        let v6 = prop_oneof![0..40_u128, (u128::MAX - 40)..=u128::MAX];
        prop_oneof![
            v4.prop_map(|bits| IpAddr::V4(bits.into())),
            v6.prop_map(|bits| IpAddr::V6(bits.into()).to_canonical()),
        ]
    }

    fn network() -> impl Strategy<Value = IpNet> {
        (address(), prop_oneof![0..6_u8, Just(128)]).prop_map(|(address, shorter)| {
            let bits = if address.is_ipv4() { 32 } else { 128_u8 };
            IpNet::new(address, bits.saturating_sub(shorter)).unwrap()
        })
    }

    proptest! {
        #[test]
        fn a_list_contains_what_one_of_its_networks_contains(list in vec(network(), 0..12), address in address()) {
            let naive = list.iter().any(|network| network.contains(&address));
            prop_assert_eq!(Networks::of(&list).contain(address), naive);
        }
    }
}

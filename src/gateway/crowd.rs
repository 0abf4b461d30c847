//! How many connections each client has, on all cores together.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr},
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

/// The bits of an address of IPv6 that stand for a client: a host has all addresses of its /64 to choose from.
const NETWORK_BITS: u128 = !0 << 64;

/// Counts connections by the client's address. Asked twice in the life of a connection, never by a request.
#[derive(Debug)]
pub(super) struct Crowd {
    max: Option<NonZeroUsize>,
    /// Only of clients that have any.
    counts: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection that may be, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    /// Whom it counts for; none where nobody counts.
    client: Option<IpAddr>,
}

impl Crowd {
    /// So many connections each, or any number.
    pub(super) fn new(max: Option<NonZeroUsize>) -> Arc<Self> {
        Arc::new(Self {
            max,
            counts: Mutex::default(),
        })
    }

    /// A place for one more connection, unless the client has as many as it may. Whoever is trusted is not one client.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        is_trusted: impl FnOnce() -> bool,
    ) -> Option<Place> {
        let place = |client| Place {
            crowd: Arc::clone(self),
            client,
        };
        let Some(max) = self.max.filter(|_| !is_trusted()) else {
            return Some(place(None));
        };
        let client = client_of(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(client).or_insert(0);
        if *count >= max.get() {
            return None;
        }
        *count += 1;
        Some(place(Some(client)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut counts = self.crowd.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK_BITS).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_as_many_places_as_it_may_and_gets_them_back() {
        let crowd = Crowd::new(NonZeroUsize::new(2));
        let admit = |address: &str| crowd.admit(address.parse().unwrap(), || false);
        let (first, second) = (admit("10.0.0.1"), admit("::ffff:10.0.0.1"));
        assert!(first.is_some() && second.is_some());
        assert!(
            admit("10.0.0.1").is_none(),
            "one client, however its address is written"
        );
        assert!(admit("10.0.0.2").is_some());
        drop(first);
        assert!(admit("10.0.0.1").is_some());
        drop(second);
        assert!(crowd.counts.lock().unwrap().is_empty(), "nobody is remembered");
    }

    #[test]
    fn the_addresses_of_one_network_of_ipv6_are_one_client() {
        let crowd = Crowd::new(NonZeroUsize::new(1));
        let admit = |address: &str| crowd.admit(address.parse().unwrap(), || false);
        let _first = admit("2001:db8::1").unwrap();
        assert!(admit("2001:db8::2").is_none());
        assert!(admit("2001:db8:0:1::1").is_some());
    }
}

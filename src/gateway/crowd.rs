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

/// A connection, until it is dropped; with what it counts by, if it counts.
#[derive(Debug)]
pub(super) struct Place(Option<(Arc<Crowd>, IpAddr)>);

impl Place {
    /// One that nobody counts.
    pub(super) const UNCOUNTED: Self = Self(None);
}

impl Crowd {
    /// So many connections each, or any number.
    pub(super) fn new(max: Option<NonZeroUsize>) -> Arc<Self> {
        Arc::new(Self {
            max,
            counts: Mutex::default(),
        })
    }

    /// Whether anybody counts at all.
    pub(super) fn is_bounded(&self) -> bool {
        self.max.is_some()
    }

    /// A place for one more connection, unless the client has as many as it may.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let client = client_of(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(client).or_insert(0);
        if self.max.is_some_and(|max| *count >= max.get()) {
            return None;
        }
        *count += 1;
        Some(Place(Some((Arc::clone(self), client))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((crowd, client)) = &self.0 else { return };
        let mut counts = crowd.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(*client) {
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
        let admit = |address: &str| crowd.admit(address.parse().unwrap());
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
        let _first = crowd.admit("2001:db8::1".parse().unwrap()).unwrap();
        assert!(crowd.admit("2001:db8::2".parse().unwrap()).is_none());
        assert!(crowd.admit("2001:db8:0:1::1".parse().unwrap()).is_some());
    }
}

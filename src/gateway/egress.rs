//! Where the gateway never connects to, whatever name led there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The EC2 metadata service (link-local in IPv4, but not in IPv6).
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Whether an address is never an upstream: cloud metadata, link-local, multicast, or no address at all.
///
/// Asked of the very address that is dialled, after resolution, so that no name can lead around it. Private and
/// loopback addresses are allowed: naming a host as an upstream allows it.
pub(super) fn is_prohibited(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_prohibited_v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(embedded) => is_prohibited_v4(embedded),
            None => {
                address.is_unspecified()
                    || address.is_multicast()
                    || address.is_unicast_link_local()
                    || address == METADATA_V6
            }
        },
    }
}

fn is_prohibited_v4(address: Ipv4Addr) -> bool {
    address.octets()[0] == 0 || address.is_link_local() || address.is_multicast() || address.is_broadcast()
}

/// The IPv4 address that an IPv6 address stands for: mapped (`::ffff:0:0/96`), NAT64 (`64:ff9b::/96`) or 6to4 (`2002::/16`).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => v4(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_link_local_and_multicast_addresses_are_prohibited_in_every_spelling() {
        for text in [
            "169.254.169.254",
            "169.254.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ] {
            assert!(is_prohibited(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn private_and_loopback_addresses_are_upstreams_like_any_other() {
        for text in [
            "127.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "93.184.216.34",
            "::1",
            "fd00::1",
            "2001:db8::1",
        ] {
            assert!(!is_prohibited(text.parse().unwrap()), "{text}");
        }
    }
}

//! What kind of address an address is, whatever it is dressed as.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Where clouds answer with credentials, beside the link-local addresses where most of them do.
const METADATA: [IpAddr; 6] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), // Alibaba
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),   // Azure's wire server
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),     // Oracle
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), // EC2
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)), // Compute Engine
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)), // Scaleway
];

/// What is to be known of an address before anything is sent there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anybody's.
    Public,
    /// Reached only from here: private, shared, reserved, or this machine.
    Private,
    /// Where a cloud answers with credentials.
    Metadata,
    /// On this link: the metadata of most clouds, and neighbours that no router knows.
    LinkLocal,
    /// Many at once.
    Multicast,
    /// No address at all.
    Unspecified,
}

impl Kind {
    /// Of an address; one that stands for an IPv4 address is of that one's kind.
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        if METADATA.contains(&address) {
            return Self::Metadata;
        }
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => match embedded_v4(address) {
                Some(embedded) => Self::of(embedded.into()),
                None => Self::of_v6(address),
            },
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let octets = address.octets();
        if octets[0] == 0 {
            Self::Unspecified // RFC 1122 3.2.1.3: "this host on this network"
        } else if address.is_link_local() {
            Self::LinkLocal
        } else if address.is_multicast() || address.is_broadcast() {
            Self::Multicast
        } else if address.is_loopback() || address.is_private() || is_reserved_v4(octets) {
            Self::Private
        } else {
            Self::Public
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let first = address.segments()[0];
        if address.is_unspecified() {
            Self::Unspecified
        } else if address.is_unicast_link_local() {
            Self::LinkLocal
        } else if address.is_multicast() {
            Self::Multicast
        } else if address.is_loopback() || address.is_unique_local() || first & 0xffc0 == 0xfec0 {
            Self::Private // the last are site-local addresses, deprecated by RFC 3879
        } else {
            Self::Public
        }
    }
}

/// As the end of a sentence.
impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Public => "a public address",
            Self::Private => "a private address",
            Self::Metadata => "the metadata address of a cloud",
            Self::LinkLocal => "a link-local address, as the metadata of most clouds has",
            Self::Multicast => "a multicast or broadcast address",
            Self::Unspecified => "no address of anybody",
        })
    }
}

/// Not for the public network (RFC 6890): shared, protocol assignments, benchmarks, reserved.
fn is_reserved_v4(octets: [u8; 4]) -> bool {
    matches!(
        octets,
        [100, 64..=127, ..] | [192, 0, 0, _] | [198, 18 | 19, ..] | [240..=255, ..]
    )
}

/// The IPv4 address that an IPv6 address is translated to or tunnelled to, if it is of such a kind.
pub(super) fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] // compatible and mapped (RFC 4291 2.5.5)
        | [0, 0, 0, 0, 0xffff, 0, high, low] // translated (RFC 2765 2.1)
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] // NAT64 (RFC 6052 2.1)
        | [0x64, 0xff9b, 1, _, _, _, high, low] // NAT64 of a network of its own (RFC 8215)
        | [0x2002, high, low, ..] => v4(high, low), // 6to4 (RFC 3056 2)
        [0x2001, 0, .., high, low] => v4(!high, !low), // Teredo (RFC 4380 4)
        _ => None,
    }
}

//! What is recorded of a client's address.

use std::{
    fmt::{self, Write},
    hash::{BuildHasher, RandomState},
    net::IpAddr,
};

use flexgate_schemas::recording::ClientAddress;
use ipnet::IpNet;

use super::exchange::Exchange;

/// As much of an address as the settings let be known. Nothing is formatted as long as it is that of the connection.
pub(super) fn recorded<'a>(
    exchange: &'a Exchange,
    known: ClientAddress,
    room: &'a mut Room,
) -> Option<&'a str> {
    let client = &exchange.client;
    if known == ClientAddress::Full && exchange.client_address == client.address {
        return client.address_text.to_str().ok();
    }
    write(exchange.client_address, known, &client.core.address_key, room)
}

fn write<'r>(
    address: IpAddr,
    known: ClientAddress,
    key: &RandomState,
    room: &'r mut Room,
) -> Option<&'r str> {
    let written = match known {
        ClientAddress::Full => write!(room, "{address}"),
        ClientAddress::Prefix => write!(room, "{}", network(address)),
        // SipHash under a random key: without it no address can be tried.
        ClientAddress::Hash => write!(room, "{:016x}", key.hash_one(address)),
        ClientAddress::Off => return None,
    };
    written.ok().map(|()| room.as_str())
}

/// The network that a site has, as a rule, and of which its own address would be too much to know.
fn network(address: IpAddr) -> IpNet {
    let bits = match address {
        IpAddr::V4(_) => 24,
        IpAddr::V6(_) => 48,
    };
    IpNet::new_assert(address, bits).trunc()
}

/// Room for the text of an address: the longest has 45 bytes.
pub(super) struct Room {
    text: [u8; 48],
    length: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            text: [0; 48],
            length: 0,
        }
    }
}

impl Room {
    fn as_str(&self) -> &str {
        str::from_utf8(&self.text[..self.length]).unwrap_or_default() // only whole strings were put in
    }
}

impl Write for Room {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = self.length + part.len();
        let free = self.text.get_mut(self.length..end).ok_or(fmt::Error)?;
        free.copy_from_slice(part.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(address: &str, known: ClientAddress, key: &RandomState) -> Option<String> {
        write(address.parse().unwrap(), known, key, &mut Room::default()).map(str::to_owned)
    }

    #[test]
    fn as_much_is_written_as_may_be_known() {
        let check = |address: &str, known, expected: Option<&str>| {
            assert_eq!(
                written(address, known, &RandomState::new()).as_deref(),
                expected,
                "{address}"
            );
        };
        let longest = "1234:5678:9abc:def0:1234:5678:9abc:def0";
        check("203.0.113.7", ClientAddress::Full, Some("203.0.113.7"));
        check(longest, ClientAddress::Full, Some(longest));
        check("203.0.113.7", ClientAddress::Prefix, Some("203.0.113.0/24"));
        check("2001:db8:1:2::3", ClientAddress::Prefix, Some("2001:db8:1::/48"));
        check("203.0.113.7", ClientAddress::Off, None);
    }

    #[test]
    fn a_hash_is_the_same_for_the_same_address_under_the_same_key() {
        let (one, other) = (RandomState::new(), RandomState::new());
        let hash = |address: &str, key| written(address, ClientAddress::Hash, key).unwrap();
        assert_eq!(hash("203.0.113.7", &one), hash("203.0.113.7", &one));
        assert_ne!(hash("203.0.113.7", &one), hash("203.0.113.8", &one));
        assert_ne!(hash("203.0.113.7", &one), hash("203.0.113.7", &other));
        assert_eq!(hash("2001:db8::1", &one).len(), 16);
    }
}

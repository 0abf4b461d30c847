//! Which name servers the gateway asks, where those of the system are not the right ones.

use std::net::{IpAddr, SocketAddr};

use super::reader::Reader;

/// Where name servers listen unless said otherwise (RFC 1035 4.2).
const PORT: u16 = 53;

pub(super) fn read(reader: &mut Reader<'_>) -> Vec<SocketAddr> {
    let found = reader.find(&["FLEXGATE_DNS_SERVERS"]);
    let servers = found.and_then(|found| reader.parse(found, list));
    servers.unwrap_or_default()
}

fn list(text: &str) -> Result<Vec<SocketAddr>, String> {
    text.split(',').map(str::trim).map(one).collect()
}

fn one(text: &str) -> Result<SocketAddr, String> {
    let without_port = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT));
    text.parse().or_else(|_| without_port()).map_err(|_| {
        format!("{text:?} is not the address of a name server: write 10.0.0.2, 10.0.0.2:5353 or [fd00::2]:53")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_addresses_with_a_port_or_without() {
        let shown = list("10.0.0.2, 10.0.0.3:5353,fd00::2,[fd00::3]:54").map(|servers| {
            let texts: Vec<_> = servers.iter().map(SocketAddr::to_string).collect();
            texts.join(" ")
        });
        assert_eq!(
            shown.as_deref(),
            Ok("10.0.0.2:53 10.0.0.3:5353 [fd00::2]:53 [fd00::3]:54")
        );
        for wrong in ["dns.example", "10.0.0.2,", "10.0.0.2:0x35", ""] {
            assert!(list(wrong).is_err(), "{wrong}");
        }
    }
}

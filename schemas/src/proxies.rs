//! Who a request is from, of those that `X-Forwarded-For` names: as far as proxies can be believed.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};

use crate::Settings;

/// The header in which each proxy adds who it had the request from.
pub const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl Settings {
    /// Whether what a peer says of others is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Who sent a request that a peer brought: the right-most address that is not a trusted proxy's. What an untrusted peer
    /// says of itself is not believed. What is no address ends the walk: the proxy that passed it on is the last one known.
    pub fn client_of(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        if !self.trusts(peer) {
            return client;
        }
        let lines = headers.get_all(FOR).iter().rev();
        let chain = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.rsplit(','));
        for link in chain {
            let Some(address) = address_in(link.trim()) else {
                break;
            };
            client = address;
            if !self.trusts(address) {
                break;
            }
        }
        client
    }
}

/// An address as proxies write it: bare, with a port, in brackets.
fn address_in(text: &str) -> Option<IpAddr> {
    let bare = || text.parse().ok();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare()
        .or_else(bracketed)
        .or_else(with_port)
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_right_most_address_that_is_not_trusted() {
        let settings: Settings =
            serde_json::from_str(r#"{"trustedProxies":["10.0.0.0/8","fd00::/8"]}"#).unwrap();
        let check = |peer: &str, chain: &str, client: &str| {
            let lines = chain.split('|');
            let headers: HeaderMap = lines.map(|line| (FOR, line.parse().unwrap())).collect();
            assert_eq!(
                settings.client_of(peer.parse().unwrap(), &headers),
                client.parse::<IpAddr>().unwrap(),
                "{chain}"
            );
        };
        let proxy = "10.0.0.1";
        check(proxy, "203.0.113.7", "203.0.113.7");
        check(proxy, "1.2.3.4, 203.0.113.7, 10.0.0.2", "203.0.113.7");
        check(proxy, "203.0.113.7:8080, [fd00::1]:443", "203.0.113.7");
        check(proxy, "::ffff:203.0.113.7", "203.0.113.7");
        check(proxy, "[2001:db8::1]", "2001:db8::1");
        check(proxy, "10.0.0.9", "10.0.0.9");
        check(proxy, "unknown, 10.0.0.2", "10.0.0.2");
        check(proxy, "", "10.0.0.1");
        check(proxy, "1.2.3.4|203.0.113.7, 10.0.0.3|10.0.0.2", "203.0.113.7");
        check("192.0.2.1", "203.0.113.7", "192.0.2.1");
    }
}

//! Who the client is, and how the upstream is told: `X-Forwarded-*`, and `Forwarded` (RFC 7239).

use std::net::IpAddr;

use flexgate_schemas::{Settings, proxies::FOR};
use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};

use super::{
    client::Client,
    look::{Field, Look},
};

const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Who sent a request: the right-most address that is not a trusted proxy's. What an untrusted peer says of itself is not
/// believed.
pub(super) fn client_address(
    headers: &HeaderMap,
    look: Look,
    client: &Client,
    settings: &Settings,
) -> IpAddr {
    if look.has(Field::Forwarding) {
        settings.client_of(client.address, headers)
    } else {
        client.address
    }
}

/// Tells the upstream whom the request comes from. What an untrusted peer says of itself is replaced, not passed on.
/// `host` is what the client asked for.
pub(super) fn tell(
    headers: &mut HeaderMap,
    look: Look,
    client: &Client,
    host: Option<HeaderValue>,
    settings: &Settings,
) {
    if !settings.trusts(client.address) {
        if look.has(Field::Forwarding) {
            remove_claims(headers);
        }
        state(headers, client, host, settings.forwarded);
        return;
    }
    let chain = joined(headers, &FOR);
    let peer = client.address.to_string();
    let chain = chain.map_or_else(|| peer.clone(), |chain| format!("{chain}, {peer}"));
    insert(headers, FOR, &chain);
    headers
        .entry(PROTO)
        .or_insert_with(|| HeaderValue::from_static(client.entry.scheme()));
    headers.entry(PORT).or_insert_with(|| client.entry.port.clone());
    if let Some(host) = &host {
        headers.entry(FORWARDED_HOST).or_insert_with(|| host.clone());
    }
    if settings.forwarded {
        let element = element(client.address, client.entry.scheme(), host.as_ref());
        let chain = joined(headers, &FORWARDED)
            .map_or_else(|| element.clone(), |chain| format!("{chain}, {element}"));
        insert(headers, FORWARDED, &chain);
    }
}

fn remove_claims(headers: &mut HeaderMap) {
    let is_claim = |name: &&HeaderName| Field::of(name) == Some(Field::Forwarding);
    let claims: Vec<_> = headers.keys().filter(is_claim).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
}

fn state(headers: &mut HeaderMap, client: &Client, host: Option<HeaderValue>, forwarded: bool) {
    if forwarded {
        insert(
            headers,
            FORWARDED,
            &element(client.address, client.entry.scheme(), host.as_ref()),
        );
    }
    headers.insert(FOR, client.address_text.clone());
    headers.insert(PROTO, HeaderValue::from_static(client.entry.scheme()));
    headers.insert(PORT, client.entry.port.clone());
    if let Some(host) = host {
        headers.insert(FORWARDED_HOST, host);
    }
}

/// One element of `Forwarded`. An IPv6 address and a host with a port are quoted, as the grammar asks.
fn element(address: IpAddr, scheme: &str, host: Option<&HeaderValue>) -> String {
    let node = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    match host.and_then(|host| host.to_str().ok()) {
        Some(host) => format!("for={node};host=\"{host}\";proto={scheme}"),
        None => format!("for={node};proto={scheme}"),
    }
}

/// All lines of a field as one.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> = headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Everything that comes here was a field's value before, or is an address.
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_of_forwarded_quotes_what_is_no_token() {
        let host = HeaderValue::from_static("example.com:8000");
        assert_eq!(
            element("2001:db8::1".parse().unwrap(), "http", Some(&host)),
            r#"for="[2001:db8::1]";host="example.com:8000";proto=http"#
        );
        assert_eq!(
            element("192.0.2.1".parse().unwrap(), "https", None),
            "for=192.0.2.1;proto=https"
        );
    }
}

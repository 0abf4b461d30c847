use std::net::Ipv4Addr;

use flexgate_schemas::UpstreamUrl;
use serde_json::{Value, json};

use super::*;

fn guard(security: Value, named: &[&str]) -> Guard {
    let mut guard = Guard::default();
    guard.set_lists(&serde_json::from_value(security).unwrap());
    for (number, host) in named.iter().enumerate() {
        guard.set_named(None, Some(&upstream(number, host)));
    }
    guard
}

fn upstream(number: usize, host: &str) -> Upstream {
    let url: UpstreamUrl = format!("http://{host}").parse().unwrap();
    Upstream::new(format!("u{number}").parse().unwrap(), url)
}

/// What becomes of a client's request to a host that was found at an address, in one word.
fn to(guard: &Guard, host: &str, address: &str) -> &'static str {
    on_behalf_of(Behalf::Client, guard, host, address)
}

fn on_behalf_of(behalf: Behalf, guard: &Guard, host: &str, address: &str) -> &'static str {
    match verdict(guard, &Host::of(host), address.parse().unwrap(), behalf) {
        Ok(()) => "goes",
        Err(Prohibited::Number(_)) => "number",
        Err(Prohibited::Unlisted(_)) => "unlisted",
        Err(Prohibited::Blocked { .. }) => "blocked",
        Err(Prohibited::Special { .. }) => "special",
        Err(Prohibited::Private { .. }) => "private",
    }
}

/// The forms in which an IPv6 address stands for an IPv4 address.
fn dressed(address: &str) -> Vec<String> {
    let [a, b, c, d] = address.parse::<Ipv4Addr>().unwrap().octets();
    let hex = format!("{a:02x}{b:02x}:{c:02x}{d:02x}");
    vec![
        format!("::ffff:{address}"),
        format!("::{address}"),
        format!("::ffff:0:{hex}"),
        format!("64:ff9b::{hex}"),
        format!("64:ff9b:1::{hex}"),
        format!("2002:{hex}::1"),
        format!("2001:0:1::{:02x}{:02x}:{:02x}{:02x}", !a, !b, !c, !d),
    ]
}

#[test]
fn every_address_is_of_one_kind_in_whatever_dress() {
    use Kind::*;
    for (kind, addresses) in [
        (Metadata, &["168.63.129.16", "100.100.100.200", "192.0.0.192"][..]),
        (LinkLocal, &["169.254.169.254", "169.254.0.1"]),
        (Unspecified, &["0.0.0.0", "0.1.2.3"]),
        (Multicast, &["224.0.0.1", "239.255.255.255", "255.255.255.255"]),
        (
            Private,
            &["127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1"],
        ),
        (
            Private,
            &["100.64.0.1", "100.127.255.255", "198.18.0.1", "240.0.0.1"],
        ),
        (
            Public,
            &["93.184.216.34", "172.32.0.1", "100.128.0.1", "169.253.0.1"],
        ),
    ] {
        for address in addresses {
            for form in dressed(address).into_iter().chain([(*address).to_owned()]) {
                assert_eq!(Kind::of(form.parse().unwrap()), kind, "{form}");
            }
        }
    }
    for (kind, addresses) in [
        (Metadata, &["fd00:ec2::254", "fd20:ce::254", "fd00:42::42"][..]),
        (LinkLocal, &["fe80::1", "febf::1"]),
        (Unspecified, &["::"]),
        (Multicast, &["ff02::1", "ff0e::1"]),
        (Private, &["::1", "fd00::1", "fc00::1", "fec0::1"]),
        (Public, &["2001:db8::1", "2606:4700::1"]),
    ] {
        for address in addresses {
            assert_eq!(Kind::of(address.parse().unwrap()), kind, "{address}");
        }
    }
}

#[test]
fn special_addresses_are_reached_by_nobody_unless_they_and_what_leads_there_are_listed_one_by_one() {
    let metadata = "169.254.169.254";
    let named = guard(json!({}), &["metadata.example", metadata]);
    assert_eq!(to(&named, "metadata.example", metadata), "special");
    assert_eq!(to(&named, metadata, metadata), "special");

    let check = |listed: Value, host: &str, expected: &str| {
        let guard = guard(json!({ "allowedHosts": listed }), &["metadata.example"]);
        assert_eq!(to(&guard, host, metadata), expected, "{host} with {listed}");
    };
    check(json!([metadata]), metadata, "goes");
    check(json!([metadata]), "metadata.example", "special");
    check(json!(["metadata.example"]), "metadata.example", "special");
    check(json!([metadata, "metadata.example"]), "metadata.example", "goes");
    check(json!([metadata, "*.example"]), "metadata.example", "special");
    check(json!(["169.254.169.253"]), metadata, "unlisted");
}

#[test]
fn a_private_address_needs_somebody_who_vouches_for_the_host() {
    let check = |behalf, security: Value, named: &[&str], expected: &str| {
        let said = on_behalf_of(behalf, &guard(security.clone(), named), "a.example", "10.0.0.1");
        assert_eq!(said, expected, "{security} {named:?}");
    };
    for behalf in [Behalf::Client, Behalf::Gateway] {
        check(behalf, json!({}), &["a.example"], "goes");
        check(behalf, json!({ "allowedHosts": [] }), &["A.example."], "goes");
        check(behalf, json!({ "allowedHosts": ["a.example"] }), &[], "goes");
        check(behalf, json!({ "allowedHosts": ["*.example"] }), &[], "goes");
        check(
            behalf,
            json!({ "allowedHosts": ["10.0.0.1"] }),
            &["b.example"],
            "unlisted",
        );
    }
    check(Behalf::Client, json!({}), &["b.example"], "goes");
    check(Behalf::Gateway, json!({}), &["b.example"], "private");
    let open = Guard::default();
    assert_eq!(
        on_behalf_of(Behalf::Gateway, &open, "a.example", "93.184.216.34"),
        "goes"
    );
}

#[test]
fn a_list_leaves_out_everything_else_but_what_upstreams_name() {
    let listed = guard(
        json!({ "allowedHosts": ["api.example.com", "*.internal.corp", "203.0.113.7"] }),
        &["named.example"],
    );
    for (host, expected) in [
        ("api.example.com", "goes"),
        ("API.example.com.", "goes"),
        ("a.b.internal.corp", "goes"),
        ("internal.corp", "unlisted"),
        ("xinternal.corp", "unlisted"),
        ("www.example.com", "unlisted"),
        ("named.example", "goes"),
        ("203.0.113.7", "goes"),
        ("[::ffff:203.0.113.7]", "goes"),
        ("203.0.113.8", "unlisted"),
    ] {
        assert_eq!(to(&listed, host, "203.0.113.7"), expected, "{host}");
    }
}

#[test]
fn what_is_blocked_stays_blocked_whoever_allows_it_and_in_whatever_dress() {
    let networks = json!(["10.0.0.0/8", "::ffff:203.0.113.0/120", "2001:db8::/32"]);
    let guard = guard(
        json!({ "allowedHosts": ["10.1.2.3", "a.example"], "blockedIPs": networks }),
        &["10.1.2.3", "a.example"],
    );
    assert_eq!(to(&guard, "10.1.2.3", "10.1.2.3"), "blocked");
    for address in ["10.1.2.3", "203.0.113.7"] {
        for form in dressed(address) {
            assert_eq!(to(&guard, "a.example", &form), "blocked", "{form}");
        }
    }
    assert_eq!(to(&guard, "a.example", "2001:db8::7"), "blocked");
    assert_eq!(to(&guard, "a.example", "11.0.0.1"), "goes");
    let listed: Vec<_> = guard.blocked_though_listed().collect();
    assert_eq!(
        listed,
        [("10.1.2.3".parse().unwrap(), "10.0.0.0/8".parse().unwrap())]
    );
}

#[test]
fn a_number_in_place_of_an_address_is_refused_even_where_an_upstream_names_it() {
    for host in ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "169.254.169.254."] {
        let guard = guard(json!({}), &[host]);
        assert_eq!(to(&guard, host, "127.0.0.1"), "number", "{host}");
    }
}

#[test]
fn before_a_name_is_resolved_only_the_lists_speak() {
    let guard = guard(
        json!({ "allowedHosts": ["a.example"], "blockedIPs": ["10.0.0.1"] }),
        &["10.0.0.1"],
    );
    let said = |host: &str| verdict_on_host(&guard, &Host::of(host), Behalf::Client).is_ok();
    assert!(said("a.example"));
    assert!(!said("b.example") && !said("10.0.0.1") && !said("0x7f.1"));
}

#[test]
fn a_host_is_named_until_the_last_upstream_lets_go_of_it() {
    let mut guard = guard(json!({ "allowedHosts": [] }), &["a.example", "a.example"]);
    let is_named = |guard: &Guard| to(guard, "a.example", "203.0.113.7") == "goes";
    guard.set_named(Some(&upstream(0, "a.example")), Some(&upstream(0, "b.example")));
    assert!(is_named(&guard));
    guard.set_named(Some(&upstream(1, "a.example")), Some(&upstream(1, "a.example")));
    assert!(is_named(&guard));
    guard.set_named(Some(&upstream(1, "a.example")), None);
    assert!(!is_named(&guard));
}

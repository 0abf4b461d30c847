use flexgate_schemas::Settings;
use serde_json::json;

use super::*;

fn security(lists: &Value) -> Command {
    Command::PutSettings(read(json!({}), json!({ "security": lists })))
}

fn blocking(networks: &[&str]) -> Command {
    security(&json!({ "blockedIPs": networks }))
}

/// An upstream that is reached there.
fn at(name: &str, url: &str) -> Upstream {
    upstream(name, json!({ "targets": [{ "url": url }] }))
}

fn route_to(id: &str, url: &str) -> Route {
    route(id, json!({ "upstream": url }))
}

/// The code, the pointer and the words of a refusal.
#[track_caller]
fn refused(state: &ConfigState, command: Command, pointer: &str, says: &str) {
    let refusal = when(state, command).unwrap_err();
    assert_eq!(
        (refusal.code(), refusal.pointer()),
        ("destination_prohibited", Some(pointer))
    );
    assert!(refusal.to_string().contains(says), "{refusal}");
}

#[test]
fn an_address_that_no_request_may_go_to_is_refused_in_every_form() {
    let state = given([blocking(&["10.0.0.0/8"])]);
    for (host, says) in [
        ("169.254.169.254", "169.254.169.254 is a link-local address"),
        (
            "[::ffff:169.254.169.254]",
            "169.254.169.254 is a link-local address",
        ),
        ("[64:ff9b::a9fe:a9fe]", "is a link-local address"),
        ("[fd00:ec2::254]", "is the metadata address of a cloud"),
        ("0.0.0.0", "is no address of anybody"),
        ("224.0.0.1", "is a multicast"),
        (
            "10.1.2.3",
            "10.1.2.3 is in 10.0.0.0/8, which `security.blockedIPs` blocks",
        ),
        ("2130706433", "write an address as 127.0.0.1 is written"),
        ("0x7f.1", "write an address as"),
        ("0177.0.0.1", "write an address as"),
    ] {
        let url = format!("http://{host}:8080/base");
        refused(&state, Command::CreateUpstream(at("u", &url)), "/url", says);
        refused(
            &state,
            Command::CreateRoute(route_to("r", &url)),
            "/upstream",
            says,
        );
    }
    let targets = json!({ "targets": [{ "url": "http://a" }, { "url": "http://169.254.1.1" }] });
    let several = Command::CreateUpstream(upstream("u", targets));
    refused(&state, several, "/targets/1/url", "169.254.1.1");
    for url in [
        "http://127.0.0.1:8080",
        "http://192.168.0.1",
        "http://[::1]",
        "http://a",
    ] {
        when(&state, Command::CreateUpstream(at("u", url))).unwrap();
        when(&state, Command::CreateRoute(route_to("r", url))).unwrap();
    }
}

#[test]
fn a_list_of_hosts_binds_the_urls_of_routes_and_upstreams_name_further_hosts() {
    let mut state = given([security(&json!({ "allowedHosts": ["*.example.com"] }))]);
    let to_named = || Command::CreateRoute(route_to("r", "http://named.example"));
    when(
        &state,
        Command::CreateRoute(route_to("r", "http://api.example.com")),
    )
    .unwrap();
    let says = "named.example is not one of `security.allowedHosts`: list it, or name it in an upstream";
    refused(&state, to_named(), "/upstream", says);

    let decision = when(&state, Command::CreateUpstream(at("u", "http://named.example"))).unwrap();
    assert_eq!(
        warnings(&decision),
        [
            r#"named.example is not one of `security.allowedHosts`: requests go there all the same, because upstream "u" names it"#
        ]
    );
    happen(&mut state, &decision.events, 2);
    when(&state, to_named()).unwrap();
    let decision = when(&state, Command::DeleteUpstream("u".parse().unwrap())).unwrap();
    happen(&mut state, &decision.events, 3);
    refused(&state, to_named(), "/upstream", says);
}

#[test]
fn a_metadata_address_that_is_listed_itself_is_an_upstream_like_any_other() {
    let state = given([security(&json!({ "allowedHosts": ["169.254.169.254"] }))]);
    let decision = when(&state, Command::CreateUpstream(at("u", "http://169.254.169.254"))).unwrap();
    assert_eq!(warnings(&decision), [""; 0]);
}

#[test]
fn what_leads_to_an_address_that_is_blocked_later_is_named_and_can_still_be_edited() {
    let upstreams = ["a", "b"].map(|name| Command::CreateUpstream(at(name, "http://10.0.0.1")));
    let routes = ["c", "d"].map(|id| Command::CreateRoute(route_to(id, "http://10.0.0.2")));
    let mut state = given(upstreams.into_iter().chain(routes));
    let decision = when(&state, blocking(&["10.0.0.0/8"])).unwrap();
    assert_eq!(
        warnings(&decision),
        [r#"`security` keeps requests from upstream "a", upstream "b", route "c" and 1 more"#]
    );
    happen(&mut state, &decision.events, 5);

    let mut off = route_to("c", "http://10.0.0.2");
    off.enabled = false;
    let decision = when(&state, Command::PutRoute(off)).unwrap();
    let reason = "10.0.0.2 is in 10.0.0.0/8, which `security.blockedIPs` blocks";
    assert_eq!(
        warnings(&decision),
        [format!("requests of route \"c\" are refused: {reason}")]
    );
    let elsewhere = Command::PutUpstream(at("a", "http://10.0.0.3"));
    refused(&state, elsewhere, "/url", "10.0.0.3 is in 10.0.0.0/8");
    assert_eq!(
        warnings(&when(&state, Command::PutUpstream(at("a", "http://11.0.0.1"))).unwrap()),
        [""; 0]
    );
}

#[test]
fn one_change_set_is_judged_by_the_lists_that_it_brings() {
    let lists: Settings = read(
        json!({}),
        json!({ "security": { "allowedHosts": [], "blockedIPs": ["10.0.0.1"] } }),
    );
    let apply = |url: &str, route_url: &str| Command::Apply {
        upstreams: vec![at("u", url)],
        routes: vec![route_to("r", route_url)],
        settings: Some(lists.clone()),
        keys: vec![],
        withheld: vec![],
    };
    let state = ConfigState::default();
    when(&state, apply("http://a", "http://a:81")).unwrap();
    refused(
        &state,
        apply("http://10.0.0.1", "http://a"),
        "/url",
        "10.0.0.1/32",
    );
    refused(
        &state,
        apply("http://a", "http://b"),
        "/upstream",
        "b is not one of",
    );
}

#[test]
fn an_address_that_is_both_listed_and_blocked_is_blocked_with_a_warning() {
    let both = security(&json!({ "allowedHosts": ["10.0.0.1"], "blockedIPs": ["10.0.0.0/8"] }));
    let decision = when(&ConfigState::default(), both).unwrap();
    assert_eq!(
        warnings(&decision),
        [
            "10.0.0.1 is listed in `security.allowedHosts`, and 10.0.0.0/8 in `security.blockedIPs`, which wins"
        ]
    );
}

#[test]
fn the_lists_have_an_end() {
    let many: Vec<String> = (0..1025).map(|number| format!("a{number}.example")).collect();
    let addresses: Vec<String> = (0..1025)
        .map(|number| format!("10.0.{}.{}", number / 256, number % 256))
        .collect();
    for (lists, pointer) in [
        (json!({ "allowedHosts": many }), "/security/allowedHosts"),
        (json!({ "blockedIPs": addresses }), "/security/blockedIPs"),
    ] {
        let refusal = when(&ConfigState::default(), security(&lists)).unwrap_err();
        assert_eq!(refusal.pointer(), Some(pointer));
    }
}

#[test]
fn the_guard_changes_only_with_what_it_is_made_of() {
    let mut state = given([Command::CreateUpstream(at("u", "http://a"))]);
    let mut after = |command: Command| {
        let before = std::sync::Arc::clone(state.guard());
        let decision = when(&state, command).unwrap();
        happen(&mut state, &decision.events, 9);
        !std::sync::Arc::ptr_eq(&before, state.guard())
    };
    assert!(!after(Command::PutUpstream(upstream(
        "u",
        json!({ "targets": [{ "url": "http://a" }], "timeout": 1 })
    ))));
    assert!(!after(Command::CreateRoute(route_to("r", "http://b"))));
    assert!(!after(Command::PutSettings(read(
        json!({}),
        json!({ "forwarded": true })
    ))));
    assert!(after(Command::PutUpstream(at("u", "http://b"))));
    assert!(after(blocking(&["10.0.0.1"])));
    assert!(after(Command::DeleteUpstream("u".parse().unwrap())));
}

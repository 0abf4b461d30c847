//! Header fields on their way through.

use flexgate_schemas::{Secret, secret::Purpose};

use super::{Node, SEALING, assert_refused, route, route_with, settings, upstream};
use crate::upstream::Upstream;

#[tokio::test]
async fn fields_of_one_hop_stay_on_it() {
    let backend = Upstream::raw(
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: x-private\r\nx-private: 1\r\nkeep-alive: timeout=9\r\n\
         upgrade: h2c\r\nproxy-authenticate: Basic\r\nproxy-connection: keep-alive\r\nx-public: 1\r\n\r\n",
    )
    .start()
    .await;
    let node = Node::forwarding_to(&backend.url());
    let response = node
        .ask(
            "GET /a HTTP/1.1\r\nhost: a\r\nconnection: close, X-Hop\r\nx-hop: 1\r\nkeep-alive: 1\r\nte: gzip\r\n\
             upgrade: websocket\r\nproxy-authorization: Basic x\r\nproxy-connection: close\r\nx-end: 1\r\n\r\n",
        )
        .await;
    let seen = backend.last();
    for name in [
        "connection",
        "x-hop",
        "keep-alive",
        "te",
        "upgrade",
        "proxy-authorization",
        "proxy-connection",
    ] {
        assert_eq!(seen.all(name), [""; 0], "{name}");
    }
    assert_eq!(seen.header("x-end"), Some("1"));
    for name in [
        "x-private",
        "keep-alive",
        "upgrade",
        "proxy-authenticate",
        "proxy-connection",
    ] {
        assert_eq!(response.all(name), [""; 0], "{name}");
    }
    assert_eq!(response.header("x-public"), Some("1"));
    assert_eq!(
        response.header("connection"),
        Some("close"),
        "what the client asked of its own hop"
    );
}

#[tokio::test]
async fn an_upstream_sees_its_own_name_unless_the_route_keeps_the_clients() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[
        route("own", "/own", &backend.url()),
        route_with("kept", "/kept", &backend.url(), r#""preserveHost":true"#),
    ]);
    node.get("/own").await;
    assert_eq!(backend.last().header("host"), Some(&*backend.addr().to_string()));
    node.get("/kept").await;
    assert_eq!(backend.last().header("host"), Some("gateway.test"));
}

#[tokio::test]
async fn via_names_the_gateway_after_everybody_before_it() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::forwarding_to(&backend.url());
    let response = node.client().await.get("/", "via: 1.0 fred\r\n").await;
    assert_eq!(backend.last().all("via"), ["1.0 fred", "1.1 flexgate-test"]);
    assert_eq!(response.header("via"), None);
}

#[tokio::test]
async fn what_an_untrusted_peer_says_of_itself_is_replaced() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::forwarding_to(&backend.url());
    let claims = "x-forwarded-for: 1.2.3.4\r\nx-forwarded-proto: https\r\nx-forwarded-host: evil\r\n\
                  x-forwarded-port: 1\r\nx-forwarded-prefix: /evil\r\nforwarded: for=1.2.3.4\r\n";
    node.client().await.get("/", claims).await;
    let seen = backend.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some("gateway.test"));
    assert_eq!(
        seen.header("x-forwarded-port"),
        Some(&*node.addr().port().to_string())
    );
    assert_eq!(
        (seen.header("x-forwarded-prefix"), seen.header("forwarded")),
        (None, None)
    );
}

#[tokio::test]
async fn what_a_trusted_proxy_says_is_kept_and_added_to() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[
        settings(r#"{"trustedProxies":["127.0.0.1"],"forwarded":true}"#),
        route("all", "/*", &backend.url()),
    ]);
    let said = "x-forwarded-for: 1.2.3.4\r\nx-forwarded-for: 5.6.7.8\r\nx-forwarded-proto: https\r\n\
                x-forwarded-host: shop.test\r\nforwarded: for=1.2.3.4\r\n";
    node.client().await.get("/", said).await;
    let seen = backend.last();
    assert_eq!(
        seen.header("x-forwarded-for"),
        Some("1.2.3.4, 5.6.7.8, 127.0.0.1")
    );
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-forwarded-host"), Some("shop.test"));
    assert_eq!(
        seen.header("forwarded"),
        Some(r#"for=1.2.3.4, for=127.0.0.1;host="gateway.test";proto=http"#)
    );
}

#[tokio::test]
async fn forwarded_is_sent_when_the_settings_ask_for_it() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[
        settings(r#"{"forwarded":true}"#),
        route("all", "/*", &backend.url()),
    ]);
    node.client().await.get("/", "forwarded: for=1.2.3.4\r\n").await;
    assert_eq!(
        backend.last().header("forwarded"),
        Some(r#"for=127.0.0.1;host="gateway.test";proto=http"#)
    );
}

#[tokio::test]
async fn a_request_keeps_the_correlation_id_of_its_client() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::forwarding_to(&backend.url());
    let response = node
        .client()
        .await
        .get("/", "x-correlation-id: order-66\r\n")
        .await;
    assert_eq!(response.header("x-correlation-id"), Some("order-66"));
    assert_eq!(backend.last().header("x-correlation-id"), Some("order-66"));
    let refused = node
        .client()
        .await
        .get("/%zz", "x-correlation-id: order-67\r\n")
        .await;
    assert_refused(&refused, 400, "bad_path", "http_request_error");
    assert_eq!(refused.json()["correlation_id"], "order-67");
}

#[tokio::test]
async fn a_request_without_a_usable_correlation_id_is_given_one() {
    let backend = Upstream::raw("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-correlation-id: other\r\n\r\n")
        .start()
        .await;
    let node = Node::forwarding_to(&backend.url());
    for lines in [
        "",
        "x-correlation-id: a b\r\n",
        "x-correlation-id: a\r\nx-correlation-id: b\r\n",
    ] {
        let response = node.client().await.get("/", lines).await;
        let id = response.header("x-correlation-id").unwrap();
        assert_eq!(id.parse::<uuid::Uuid>().unwrap().get_version_num(), 7);
        assert_eq!(backend.last().header("x-correlation-id"), Some(id));
    }
}

#[tokio::test]
async fn a_trace_is_continued_or_begun() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::forwarding_to(&backend.url());
    let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    node.client()
        .await
        .get("/", &format!("traceparent: {valid}\r\ntracestate: a=b\r\n"))
        .await;
    assert_eq!(backend.last().header("traceparent"), Some(valid));
    assert_eq!(backend.last().header("tracestate"), Some("a=b"));
    node.client()
        .await
        .get("/", "traceparent: 00-nonsense\r\ntracestate: a=b\r\n")
        .await;
    let begun = backend.last().header("traceparent").unwrap().to_owned();
    assert!(begun.starts_with("00-") && begun.len() == 55, "{begun}");
    assert_eq!(backend.last().header("tracestate"), None);
}

#[tokio::test]
async fn an_upstreams_credential_takes_the_place_of_the_clients() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[
        upstream("own", &backend.url(), r#""authorization":"${TOKEN}""#),
        upstream("missing", &backend.url(), r#""authorization":"${NOT_THERE}""#),
        route("own", "/own", "own"),
        route("missing", "/missing", "missing"),
        route("clients", "/clients", &backend.url()),
    ]);
    let credential = "authorization: Bearer of-the-client\r\n";
    node.client().await.get("/own", credential).await;
    assert_eq!(
        backend.last().header("authorization"),
        Some("Bearer of-the-gateway")
    );
    node.client().await.get("/clients", credential).await;
    assert_eq!(
        backend.last().header("authorization"),
        Some("Bearer of-the-client")
    );
    let refused = node.client().await.get("/missing", credential).await;
    assert_refused(
        &refused,
        503,
        "credential_unavailable",
        "proxy_configuration_error",
    );
    assert_eq!(backend.seen().len(), 2);
}

#[tokio::test]
async fn a_sealed_credential_is_opened_on_the_node_and_used_only_for_what_it_was_sealed_for() {
    let backend = Upstream::replying(200).start().await;
    let sealed = |purpose| {
        let sealed = SEALING.seal("Bearer sealed", purpose).unwrap();
        format!(r#""authorization":"{}""#, Secret::Sealed(sealed))
    };
    let node = Node::start(&[
        upstream("meant", &backend.url(), &sealed(Purpose::Upstream)),
        upstream("other", &backend.url(), &sealed(Purpose::Signing("k1"))),
        route("meant", "/meant", "meant"),
        route("other", "/other", "other"),
    ]);
    node.client().await.get("/meant", "").await;
    assert_eq!(backend.last().header("authorization"), Some("Bearer sealed"));
    let refused = node.client().await.get("/other", "").await;
    assert_refused(
        &refused,
        503,
        "credential_unavailable",
        "proxy_configuration_error",
    );
    assert_eq!(backend.seen().len(), 1);
}

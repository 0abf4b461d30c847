//! Names of upstreams, as a name server of our own answers for them.

use tokio::time::{sleep, timeout};

use super::{Node, options, route};
use crate::{
    dns::NameServer,
    fixtures::{LOOK_AGAIN, PATIENCE},
    upstream::Upstream,
};

/// A gateway that asks this name server, with one route to a name at this port.
fn node(dns: &NameServer, port: u16) -> Node {
    let mut options = options();
    options.name_servers = vec![dns.addr()];
    Node::start_with(
        options,
        &[route("all", "/*", &format!("http://api.example:{port}"))],
    )
}

#[tokio::test]
async fn a_name_server_is_asked_again_when_its_answer_has_run_out_and_not_before() {
    let backend = Upstream::closing().start().await;
    let port = backend.addr().port();
    let lasting = NameServer::answering(&["127.0.0.1"], 300).await;
    let lasting_node = node(&lasting, port);
    for ttl in [0, 1] {
        let short = NameServer::answering(&["127.0.0.1"], ttl).await;
        let node = node(&short, port);
        let asked_again = async {
            while short.asked() < 3 {
                assert_eq!(node.get("/").await.status(), 200);
                assert_eq!(lasting_node.get("/").await.status(), 200);
                sleep(LOOK_AGAIN).await;
            }
        };
        timeout(PATIENCE, asked_again).await.unwrap();
    }
    assert_eq!(lasting.asked(), 1);
}

#[tokio::test]
async fn requests_follow_a_name_to_its_new_address_also_from_connections_that_rest() {
    let old = Upstream::replying(200).start().await;
    let new = Upstream::replying(201)
        .start_at(("127.0.0.2", old.addr().port()))
        .await;
    let dns = NameServer::answering(&["127.0.0.1"], 1).await;
    let node = node(&dns, old.addr().port());
    assert_eq!(node.get("/").await.status(), 200);
    dns.change(&["127.0.0.2"]);
    let moved = async {
        while node.get("/").await.status() == 200 {
            sleep(LOOK_AGAIN).await;
        }
    };
    timeout(PATIENCE, moved).await.unwrap();
    assert_eq!(node.get("/").await.status(), 201);
    assert_eq!((old.connections(), new.connections()), (1, 1));
}

#[tokio::test]
async fn connections_spread_over_the_addresses_of_a_name() {
    let one = Upstream::closing().start().await;
    let other = Upstream::closing()
        .start_at(("127.0.0.2", one.addr().port()))
        .await;
    let dns = NameServer::answering(&["127.0.0.1", "127.0.0.2"], 300).await;
    let node = node(&dns, one.addr().port());
    for _ in 0..6 {
        assert_eq!(node.get("/").await.status(), 200);
    }
    assert_eq!((one.connections(), other.connections()), (3, 3));
}

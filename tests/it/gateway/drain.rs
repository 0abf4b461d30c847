//! Starting and stopping, without a lost request.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use flexgate::gateway::{DrainReport, Gateway, GatewayError};
use tokio::{net::TcpStream, sync::Notify};

use super::{Node, options, published, route};
use crate::{upstream::Upstream, wire::Client};

#[tokio::test]
async fn a_taken_port_is_named() {
    let node = Node::start(&[]);
    let mut options = options();
    options.addr = node.addr();
    let error = Gateway::start(options, &published()).unwrap_err();
    assert!(matches!(&error, GatewayError::Taken(addr, _) if *addr == node.addr()));
    assert!(error.to_string().contains(&node.addr().to_string()), "{error}");
}

#[tokio::test]
async fn a_name_that_is_no_token_is_refused() {
    let mut options = options();
    options.via = "two words".to_owned();
    assert!(matches!(
        Gateway::start(options, &published()),
        Err(GatewayError::Via(_))
    ));
}

#[tokio::test]
async fn every_core_serves() {
    let backend = Upstream::replying(200).start().await;
    let mut options = options();
    options.threads = NonZeroUsize::new(3).unwrap();
    let node = Node::start_with(options, &[route("all", "/*", &backend.url())]);
    for _ in 0..60 {
        assert_eq!(node.get("/").await.status(), 200);
    }
    assert_eq!(node.gateway.requests_served(), 60);
    assert!(backend.connections() > 1, "each core has connections of its own");
}

#[tokio::test]
async fn a_request_in_flight_is_finished_and_the_listener_closed() {
    let gate = Arc::new(Notify::new());
    let backend = Upstream::replying(200).gated(&gate).start().await;
    let node = Node::forwarding_to(&backend.url());
    let addr = node.addr();
    let mut under_way = node.client().await;
    under_way.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    while backend.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    let finish = async {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        gate.notify_one();
        let response = under_way.receive("GET").await;
        assert_eq!(
            (response.status(), response.header("connection")),
            (200, Some("close"))
        );
        assert!(under_way.is_closed().await);
    };
    let (report, ()) = tokio::join!(node.gateway.drain(), finish);
    assert_eq!(
        report,
        DrainReport {
            served: 1,
            cut_off: 0
        }
    );
}

#[tokio::test]
async fn connections_at_rest_are_closed_at_once() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::forwarding_to(&backend.url());
    let mut client = node.client().await;
    assert_eq!(client.get("/", "").await.status(), 200);
    let (report, closed) = tokio::join!(node.gateway.drain(), client.is_closed());
    assert!(closed);
    assert_eq!(report.cut_off, 0);
}

#[tokio::test]
async fn while_it_leaves_it_goes_on_serving_and_tells_clients_to_close() {
    let backend = Upstream::replying(200).start().await;
    let mut options = options();
    options.drain_delay = Duration::from_millis(500);
    let node = Node::start_with(options, &[route("all", "/*", &backend.url())]);
    let addr = node.addr();
    let mut early = node.client().await;
    assert_eq!(early.get("/", "").await.header("connection"), None);
    let meanwhile = async {
        loop {
            let response = Client::connect(addr).await.get("/", "").await;
            assert_eq!(response.status(), 200);
            if response.header("connection") == Some("close") {
                break;
            }
        }
        assert_eq!(early.get("/", "").await.header("connection"), Some("close"));
    };
    let (report, ()) = tokio::join!(node.gateway.drain(), meanwhile);
    assert_eq!(report.cut_off, 0);
}

#[tokio::test]
async fn what_waits_in_the_queue_is_served() {
    let gate = Arc::new(Notify::new());
    let backend = Upstream::replying(200).gated(&gate).start().await;
    let mut options = options();
    options.connections_max = NonZeroUsize::MIN;
    let node = Node::start_with(options, &[route("all", "/*", &backend.url())]);
    let mut served = node.client().await;
    served.send("GET /served HTTP/1.1\r\nhost: a\r\n\r\n").await;
    while backend.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut queued = node.client().await; // the kernel has it, the gateway takes no more
    let mut silent = node.client().await;
    queued.send("GET /queued HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let finish = async {
        for requests in 1..=3 {
            while backend.seen().len() < requests {
                tokio::task::yield_now().await;
            }
            gate.notify_one();
        }
    };
    let answers = async {
        assert_eq!(queued.receive("GET").await.status(), 200);
        assert_eq!(served.receive("GET").await.status(), 200);
        assert_eq!(
            silent.get("/silent", "").await.status(),
            200,
            "it has a second to say what it wants"
        );
    };
    let (report, (), ()) = tokio::join!(node.gateway.drain(), finish, answers);
    assert_eq!(
        report,
        DrainReport {
            served: 3,
            cut_off: 0
        }
    );
}

#[tokio::test]
async fn what_does_not_end_before_the_deadline_is_cut_off() {
    let backend = Upstream::silent().start().await;
    let mut options = options();
    options.drain_deadline = Duration::from_millis(100);
    let node = Node::start_with(options, &[route("all", "/*", &backend.url())]);
    let mut client = node.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    while backend.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(node.gateway.drain().await.cut_off, 1);
    assert!(client.is_closed().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_on_the_same_port_loses_no_connection() {
    let backend = Upstream::replying(200).start().await;
    let events = [route("all", "/*", &backend.url())];
    let mut node = Node::start(&events);
    let addr = node.addr();
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let ask = async |_| {
        while !over.load(Ordering::SeqCst) {
            let response = Client::connect(addr).await.get("/", "").await; // panics if it is reset
            assert_eq!(response.status(), 200);
            asked.fetch_add(1, Ordering::SeqCst);
        }
    };
    let restart = async {
        for _ in 0..3 {
            let before = asked.load(Ordering::SeqCst);
            let mut options = options();
            options.addr = addr;
            options.takes_over = true;
            let next = Node::start_with(options, &events);
            let last = std::mem::replace(&mut node, next);
            assert_eq!(last.gateway.drain().await.cut_off, 0);
            while asked.load(Ordering::SeqCst) < before + 20 {
                tokio::task::yield_now().await;
            }
        }
        over.store(true, Ordering::SeqCst);
    };
    tokio::join!(restart, futures_util::future::join_all((0..8).map(ask)));
}

//! How long a connection to an upstream may take to be made.

use std::{net::SocketAddr, time::Duration};

use socket2::{Domain, Socket, Type};

use super::{Node, assert_refused, route, upstream};

/// A listener whose queue is full: further handshakes are not answered.
pub(super) struct FullQueue {
    pub(super) addr: SocketAddr,
    pub(super) socket: Socket,
    /// How many connections wait in it.
    pub(super) length: usize,
    _queue: Vec<std::net::TcpStream>,
}

impl FullQueue {
    pub(super) fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        socket.listen(0).unwrap();
        let addr = socket.local_addr().unwrap().as_socket().unwrap();
        let within = Duration::from_millis(200);
        let queue: Vec<_> =
            std::iter::from_fn(|| std::net::TcpStream::connect_timeout(&addr, within).ok()).collect();
        Self {
            addr,
            socket,
            length: queue.len(),
            _queue: queue,
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_not_made_in_time_times_out() {
    let nobody = FullQueue::new();
    let node = Node::start(&[
        upstream(
            "slow",
            &format!("http://{}", nobody.addr),
            r#""connectTimeout":50"#,
        ),
        route("a", "/a", "slow"),
    ]);
    assert_refused(
        &node.get("/a").await,
        504,
        "upstream_connect_timeout",
        "connection_timeout",
    );
}

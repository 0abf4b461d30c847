//! Listening sockets: one per core on the same port, and their end without a lost connection.

use std::{
    io, iter,
    net::{SocketAddr, TcpListener as StdListener},
    num::NonZeroUsize,
    time::Duration,
};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// How many connections wait for being accepted, per core; the kernel's own bound may be lower. Full: clients wait.
const BACKLOG: i32 = 4096;
/// How long handshakes that began before a listener closes may take to end.
const LAST_HANDSHAKES: Duration = Duration::from_millis(20);

/// Whether the port is free. `SO_REUSEPORT` alone would not say: it shares the port with any process of the same user.
pub(super) fn probe(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?; // connections that linger from a former run do not matter
    socket.bind(&address.into())?;
    socket.listen(1)
}

/// Sockets that listen on one port.
pub(super) struct Listeners {
    /// Where.
    pub(super) addr: SocketAddr,
    /// One per core.
    pub(super) each: Vec<StdListener>,
}

/// Listens with as many sockets as there are cores, on a port that the system chooses if it is zero. The kernel spreads
/// connections over them.
pub(super) fn bind(address: SocketAddr, cores: NonZeroUsize) -> io::Result<Listeners> {
    let first = bind_one(address)?;
    let addr = first.local_addr()?;
    let others = (1..cores.get()).map(|_| bind_one(addr));
    let each = iter::once(Ok(first)).chain(others).collect::<io::Result<_>>()?;
    Ok(Listeners { addr, each })
}

fn bind_one(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_tcp_nodelay(true)?; // accepted sockets inherit it
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Closes a listener and returns the connections that waited in its queue: closing would have reset them.
///
/// No new handshake may begin meanwhile, or it would be reset as well; so the listener goes deaf to them first. Such a
/// client tries again after a second, and meets whoever listens then.
pub(super) async fn close(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let Ok(listener) = listener.into_std() else {
        return Vec::new();
    };
    if let Err(error) = ignore_handshakes(&listener) {
        tracing::debug!(%error, "a connection may be reset while a listener closes");
    }
    sleep(LAST_HANDSHAKES).await;
    let mut waiting = Vec::new();
    while let Ok((stream, peer)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            waiting.push((stream, peer));
        }
    }
    waiting
}

/// Drops segments that begin a handshake (SYN without ACK) and takes all others.
fn ignore_handshakes(listener: &StdListener) -> io::Result<()> {
    const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
    const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
    const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const FLAGS: u32 = 13; // where a TCP header has them
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    socket2::SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

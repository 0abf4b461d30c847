//! The end of a connection on which more may come than is read.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Poll, ready},
    time::Duration,
};

use hyper::rt::{Read as _, ReadBuf, Write as _};
use tokio::time::timeout;

use super::super::wire::Wire;

/// How long a client may go on sending: enough for the last answer to reach it.
const LINGER: Duration = Duration::from_secs(1);

/// Ends our side and drops what still comes, until the client ends its own (RFC 9112 9.6). To close a socket at which
/// something unread has arrived resets the connection, and the client may lose the answer that says what was wrong.
pub(super) async fn linger(mut wire: Wire) {
    let lingering = async {
        let _already_ended = poll_fn(|cx| Pin::new(&mut wire).poll_shutdown(cx)).await;
        while poll_fn(|cx| {
            let mut room = [0; 4096]; // on the stack, so that it is no part of the connection's task
            let mut buffer = ReadBuf::new(&mut room);
            let read = ready!(Pin::new(&mut wire).poll_read(cx, buffer.unfilled()));
            Poll::Ready(read.is_ok() && !buffer.filled().is_empty())
        })
        .await
        {}
    };
    drop(timeout(LINGER, lingering).await);
}

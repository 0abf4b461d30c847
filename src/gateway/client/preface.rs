//! Which version of HTTP a client begins with: HTTP/2 with prior knowledge opens with bytes that are no request of
//! HTTP/1.1 (RFC 9113 3.4).

use std::{future::poll_fn, io, pin::Pin, task::ready};

use http::Version;
use hyper::rt::{Read as _, ReadBuf};

use super::super::wire::Wire;

/// What an HTTP/2 client sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How much is read at once: as a rule all of the first request.
const READ_BYTES: usize = 2048;

/// Reads as far as it takes to tell, and puts what was read back onto the wire.
pub(super) async fn version(wire: &mut Wire) -> io::Result<Version> {
    let mut seen = Vec::new();
    loop {
        let read = poll_fn(|cx| {
            let mut room = [0; READ_BYTES]; // on the stack: a client that says nothing costs no buffer
            let mut buffer = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut *wire).poll_read(cx, buffer.unfilled()))?;
            seen.extend_from_slice(buffer.filled());
            std::task::Poll::Ready(io::Result::Ok(buffer.filled().len()))
        });
        let is_over = read.await? == 0;
        let begins = PREFACE.len().min(seen.len());
        let is_http2 = seen[..begins] == PREFACE[..begins];
        if is_over || !is_http2 || begins == PREFACE.len() {
            wire.put_back(seen);
            return Ok(if is_http2 && !is_over {
                Version::HTTP_2
            } else {
                Version::HTTP_11
            });
        }
    }
}

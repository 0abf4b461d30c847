//! A backend that the test itself plays, one connection at a time.

use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::wire::read_head;

/// A bare listener.
pub(super) struct Bare(TcpListener);

impl Bare {
    pub(super) async fn listen() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// The next connection, when the head of a request came over it.
    pub(super) async fn asked(&self) -> BufReader<TcpStream> {
        let mut stream = BufReader::new(self.0.accept().await.unwrap().0);
        read_head(&mut stream).await.unwrap().expect("a request");
        stream
    }

    /// The same, when the head of an answer in chunks went back.
    pub(super) async fn begins_to_answer(&self) -> BufReader<TcpStream> {
        let mut stream = self.asked().await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        stream
    }
}

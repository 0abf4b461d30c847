//! A backend that does exactly what a test wants, byte by byte, and remembers what it was asked.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream, ToSocketAddrs},
    sync::{Notify, watch},
};
use tokio_rustls::TlsAcceptor;

use super::wire::{Message, read_message};

/// A running backend. It ends with the runtime of its test.
pub(crate) struct Upstream {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Message>>>,
    connections: Arc<AtomicUsize>,
    /// How many connections it has closed.
    closed: watch::Receiver<usize>,
}

/// What a backend does with each request.
#[derive(Clone)]
pub(crate) struct Behaviour {
    answer: Answer,
    after: Duration,
    gate: Option<Arc<Notify>>,
    then: Then,
    tls: Option<TlsAcceptor>,
}

#[derive(Clone)]
enum Answer {
    /// These bytes.
    Raw(Arc<[u8]>),
    /// The body it was sent, with the same framing.
    Echo,
    /// So many pieces of so many bytes each, chunked or with a length; counts the bytes it got rid of.
    Stream {
        pieces: usize,
        size: usize,
        chunked: bool,
        sent: watch::Sender<usize>,
    },
    /// Text in chunks, each after one more notification.
    Pieces(&'static [&'static str], Arc<Notify>),
    /// Nothing, ever.
    Never,
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// Waits for the next request.
    Keep,
    /// Closes, without having said so.
    Close,
    /// From the second request of a connection on, closes instead of answering.
    CloseAtSecond,
}

impl Upstream {
    /// Answers with this status and a short body.
    pub(crate) fn replying(status: u16) -> Behaviour {
        Self::raw(format!(
            "HTTP/1.1 {status} Fine\r\ncontent-length: 5\r\nx-from: upstream\r\n\r\nhello"
        ))
    }

    /// Answers with 200, and says that the connection ends with it: every request needs one of its own.
    pub(crate) fn closing() -> Behaviour {
        let answer = "HTTP/1.1 200 Fine\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi";
        let mut closing = Self::raw(answer);
        closing.then = Then::Close;
        closing
    }

    /// Answers with these bytes, whatever they are.
    pub(crate) fn raw(bytes: impl AsRef<[u8]>) -> Behaviour {
        Behaviour::new(Answer::Raw(bytes.as_ref().into()))
    }

    /// Sends every body back.
    pub(crate) fn echoing() -> Behaviour {
        Behaviour::new(Answer::Echo)
    }

    /// Reads requests and never answers.
    pub(crate) fn silent() -> Behaviour {
        Behaviour::new(Answer::Never)
    }

    /// Sends a long body; the receiver knows how many bytes it got rid of.
    pub(crate) fn streaming(
        pieces: usize,
        size: usize,
        chunked: bool,
    ) -> (Behaviour, watch::Receiver<usize>) {
        let (sent, receiver) = watch::channel(0);
        (
            Behaviour::new(Answer::Stream {
                pieces,
                size,
                chunked,
                sent,
            }),
            receiver,
        )
    }

    /// Sends these texts in chunks, each after one more notification.
    pub(crate) fn pieces(texts: &'static [&'static str], gate: &Arc<Notify>) -> Behaviour {
        Behaviour::new(Answer::Pieces(texts, Arc::clone(gate)))
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The requests so far, in order.
    pub(crate) fn seen(&self) -> Vec<Message> {
        self.seen.lock().unwrap().clone()
    }

    /// The last request.
    pub(crate) fn last(&self) -> Message {
        self.seen().pop().expect("a request reached the upstream")
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until so many connections were closed.
    pub(crate) async fn has_closed(&self, connections: usize) {
        let mut closed = self.closed.clone();
        closed.wait_for(|closed| *closed >= connections).await.unwrap();
    }
}

impl Behaviour {
    fn new(answer: Answer) -> Self {
        Self {
            answer,
            after: Duration::ZERO,
            gate: None,
            then: Then::Keep,
            tls: None,
        }
    }

    /// Waits before it answers.
    pub(crate) fn after(mut self, pause: Duration) -> Self {
        self.after = pause;
        self
    }

    /// Waits for one notification before each answer.
    pub(crate) fn gated(mut self, gate: &Arc<Notify>) -> Self {
        self.gate = Some(Arc::clone(gate));
        self
    }

    /// Closes after each answer without having said so.
    pub(crate) fn then_close(mut self) -> Self {
        self.then = Then::Close;
        self
    }

    /// Reads the second request of a connection and closes instead of answering it.
    pub(crate) fn close_at_second(mut self) -> Self {
        self.then = Then::CloseAtSecond;
        self
    }

    /// Speaks TLS.
    pub(crate) fn over_tls(mut self, acceptor: TlsAcceptor) -> Self {
        self.tls = Some(acceptor);
        self
    }

    pub(crate) async fn start(self) -> Upstream {
        self.start_at("127.0.0.1:0").await
    }

    /// Listens at an address of one's choice.
    pub(crate) async fn start_at(self, addr: impl ToSocketAddrs) -> Upstream {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (seen, connections) = (
            Arc::<Mutex<Vec<Message>>>::default(),
            Arc::<AtomicUsize>::default(),
        );
        let (close, closed) = watch::channel(0);
        let upstream = Upstream {
            addr,
            seen: Arc::clone(&seen),
            connections: Arc::clone(&connections),
            closed,
        };
        spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (behaviour, seen, close) = (self.clone(), Arc::clone(&seen), close.clone());
                spawn(async move {
                    drop(behaviour.welcome(stream, &seen).await); // a client that goes away is no failure
                    close.send_modify(|closed| *closed += 1);
                });
            }
        });
        upstream
    }

    async fn welcome(&self, stream: TcpStream, seen: &Mutex<Vec<Message>>) -> io::Result<()> {
        stream.set_nodelay(true)?;
        match &self.tls {
            None => self.serve(stream, seen).await,
            Some(acceptor) => self.serve(acceptor.accept(stream).await?, seen).await,
        }
    }

    async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        seen: &Mutex<Vec<Message>>,
    ) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        for count in 1.. {
            let Some(request) = read_message(&mut stream, None).await? else {
                return Ok(());
            };
            seen.lock().unwrap().push(request.clone());
            if self.then == Then::CloseAtSecond && count > 1 {
                return Ok(());
            }
            if let Some(gate) = &self.gate {
                gate.notified().await;
            }
            tokio::time::sleep(self.after).await;
            if matches!(self.answer, Answer::Never) {
                return read_message(&mut stream, None).await.map(drop); // until the other side gives up
            }
            self.reply(&request, &mut stream).await?;
            if self.then == Then::Close {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn reply(&self, request: &Message, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        match &self.answer {
            Answer::Raw(bytes) => stream.write_all(bytes).await?,
            Answer::Never => {}
            Answer::Pieces(texts, gate) => {
                let head =
                    "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes()).await?;
                for text in *texts {
                    stream.flush().await?;
                    gate.notified().await;
                    write_piece(stream, text.as_bytes(), true).await?;
                }
                end(stream, true).await?;
            }
            Answer::Echo => {
                let chunked = request.header("transfer-encoding").is_some();
                stream
                    .write_all(head(chunked, request.body.len()).as_bytes())
                    .await?;
                for piece in request.body.chunks(10_000) {
                    write_piece(stream, piece, chunked).await?;
                }
                end(stream, chunked).await?;
            }
            Answer::Stream {
                pieces,
                size,
                chunked,
                sent,
            } => {
                stream.write_all(head(*chunked, pieces * size).as_bytes()).await?;
                for number in 0..*pieces {
                    write_piece(stream, &piece(number, *size), *chunked).await?;
                    sent.send_modify(|sent| *sent += size);
                }
                end(stream, *chunked).await?;
            }
        }
        stream.flush().await
    }
}

/// The piece of this number of a streamed body.
pub(crate) fn piece(number: usize, size: usize) -> Vec<u8> {
    (0..size)
        .map(|place| (number.wrapping_mul(31) ^ place.wrapping_mul(7)).to_le_bytes()[0])
        .collect()
}

fn head(chunked: bool, length: usize) -> String {
    if chunked {
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned()
    } else {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n")
    }
}

async fn write_piece(stream: &mut (impl AsyncWrite + Unpin), piece: &[u8], chunked: bool) -> io::Result<()> {
    if !chunked {
        return stream.write_all(piece).await;
    }
    stream
        .write_all(format!("{:x}\r\n", piece.len()).as_bytes())
        .await?;
    stream.write_all(piece).await?;
    stream.write_all(b"\r\n").await
}

async fn end(stream: &mut (impl AsyncWrite + Unpin), chunked: bool) -> io::Result<()> {
    if chunked {
        stream.write_all(b"0\r\n\r\n").await
    } else {
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a backend ends with the runtime of its test"
)]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

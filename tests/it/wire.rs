//! HTTP/1.1 as tests speak it: over a bare socket, so that they see and send every byte.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// A request or a response.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The request line or the status line.
    pub(crate) start: String,
    /// Names in lower case, in the order they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Message {
    /// Every value of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.headers.iter().filter(|(own, _)| own == name);
        lines.map(|(_, value)| &**value).collect()
    }

    /// The value of a field that is there at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} is there more than once: {values:?}");
        values.first().copied()
    }

    pub(crate) fn status(&self) -> u16 {
        self.start
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status line")
    }

    /// The target of a request.
    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).expect("a request line")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// Reads a message. `method` is that of the request a response belongs to; none for a request. Nothing if the other
/// side closed instead; an error if it closed half-way.
pub(crate) async fn read_message(
    stream: &mut (impl AsyncBufRead + Unpin),
    method: Option<&str>,
) -> io::Result<Option<Message>> {
    let Some(mut message) = read_head(stream).await? else {
        return Ok(None);
    };
    let bodiless =
        method == Some("HEAD") || (method.is_some() && matches!(message.status(), 100..=199 | 204 | 304));
    if bodiless {
        return Ok(Some(message));
    }
    if message.header("transfer-encoding") == Some("chunked") {
        read_chunks(stream, &mut message).await?;
    } else if let Some(length) = message.header("content-length") {
        message.body = vec![0; length.parse().expect("a length")];
        stream.read_exact(&mut message.body).await?;
    } else if method.is_some() {
        stream.read_to_end(&mut message.body).await?;
    }
    Ok(Some(message))
}

/// Reads a message up to its body.
pub(crate) async fn read_head(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Message>> {
    let Some(start) = line(stream).await? else {
        return Ok(None);
    };
    Ok(Some(Message {
        start,
        headers: fields(stream).await?,
        body: Vec::new(),
        trailers: Vec::new(),
    }))
}

async fn read_chunks(stream: &mut (impl AsyncBufRead + Unpin), message: &mut Message) -> io::Result<()> {
    while read_chunk(stream, &mut message.body).await? {}
    message.trailers = fields(stream).await?;
    Ok(())
}

/// Reads one chunk, and says whether there was one: the last has nothing in it.
pub(crate) async fn read_chunk(
    stream: &mut (impl AsyncBufRead + Unpin),
    body: &mut Vec<u8>,
) -> io::Result<bool> {
    let size = line(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let size = usize::from_str_radix(&size, 16).expect("a chunk's size");
    if size == 0 {
        return Ok(false);
    }
    let begin = body.len();
    body.resize(begin + size, 0);
    stream.read_exact(&mut body[begin..]).await?;
    assert_eq!(line(stream).await?.as_deref(), Some(""));
    Ok(true)
}

async fn fields(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let line = line(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let (name, value) = line.split_once(':').expect("a field");
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

async fn line(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    match stream.read_until(b'\n', &mut line).await? {
        0 => Ok(None),
        _ => match line.strip_suffix(b"\r\n") {
            Some(line) => Ok(Some(String::from_utf8_lossy(line).into_owned())),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        },
    }
}

/// A client's connection.
pub(crate) struct Client(pub(crate) BufReader<TcpStream>);

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The response to a request of this method.
    pub(crate) async fn receive(&mut self, method: &str) -> Message {
        read_message(&mut self.0, Some(method))
            .await
            .unwrap()
            .expect("a response")
    }

    /// Sends a request and waits for its response.
    pub(crate) async fn ask(&mut self, request: &str) -> Message {
        self.send(request).await;
        self.receive(request.split(' ').next().unwrap_or_default()).await
    }

    /// A GET of this path, with further header lines (each with its line end).
    pub(crate) async fn get(&mut self, path: &str, lines: &str) -> Message {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nhost: gateway.test\r\n{lines}\r\n"
        ))
        .await
    }

    /// Whether the other side closed without another word.
    pub(crate) async fn is_closed(&mut self) -> bool {
        matches!(read_message(&mut self.0, Some("GET")).await, Ok(None) | Err(_))
    }
}

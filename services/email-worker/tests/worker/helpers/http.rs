//! Requests as they go over the wire, with nothing added.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In small letters.
    pub(crate) head: String,
    /// As it came.
    raw: String,
    pub(crate) body: String,
}

impl Answer {
    /// What a header says.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }

    /// What headers of a name say, letter by letter.
    pub(crate) fn raw_headers(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = move |line: &&str| line.split(':').next().is_some_and(|found| found.eq_ignore_ascii_case(name));
        self.raw.lines().filter(named).filter_map(|line| line.split_once(": ").map(|(_, value)| value.trim()))
    }

    /// Where it leads.
    pub(crate) fn location(&self) -> Option<String> {
        self.raw_headers("location").next().map(str::to_owned)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// One request on a connection of its own.
pub(crate) async fn ask(addr: SocketAddr, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let mut request = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request += &format!("Host: {addr}\r\n");
    }
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let small = head.to_ascii_lowercase().replace("\r\n", "\n");
    Answer { status, head: small, raw: head.to_owned(), body: body.to_owned() }
}

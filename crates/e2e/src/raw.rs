//! HTTP as text, for what no client library lets out: paths that they would mend, headers that they would own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// An answer, read until its connection closed.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// Status.
    pub status: u16,
    /// Everything before the body.
    pub head: String,
    /// The rest, chunks and all.
    pub body: String,
}

impl RawAnswer {
    /// A header of the answer; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        let mut lines = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'));
        let found = lines.find(|(it, _)| it.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.trim())
    }
}

/// Opens a connection to the console and sends a head; `lines` are without their ends.
///
/// # Panics
/// When nobody listens.
pub fn open(base_url: &str, lines: &[&str]) -> TcpStream {
    let address = base_url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("the console listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout");
    let head = format!("{}\r\n\r\n", lines.join("\r\n"));
    stream.write_all(head.as_bytes()).expect("sent");
    stream
}

/// One request without a body. `Host` is the console's unless a line says otherwise.
///
/// # Panics
/// When there is no answer.
pub fn raw(base_url: &str, lines: &[&str]) -> RawAnswer {
    let host = format!("host: {}", base_url.trim_start_matches("http://"));
    let mut all = lines.to_vec();
    let named = |line: &&str| line.to_ascii_lowercase().starts_with("host:");
    if !lines.iter().any(named) {
        all.push(&host);
    }
    if !lines.iter().any(|line| line.starts_with("connection:")) {
        all.push("connection: close");
    }
    let mut stream = open(base_url, &all);
    let mut bytes = Vec::new();
    // A server that refuses a body may reset the connection behind its answer.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
    RawAnswer {
        status: status.unwrap_or_else(|| panic!("no answer to {lines:?}: {text:?}")),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

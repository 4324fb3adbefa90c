//! A server of the journey's own where the URL of an instance's worker leads: it keeps what it was sent, and answers in
//! ways that no worker of the house does.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Nobody waits longer for anything here.
const PATIENCE: Duration = Duration::from_secs(30);
/// Below it are the answers that the contract of the HTTP port needs (`platform::contract::HttpPeers`).
const PEER: &str = "/peer/";
/// How long those take that are slow.
const SLOW: Duration = Duration::from_secs(5);
/// RFC 6455 section 1.3.
const ACCEPT: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `GET /path HTTP/1.1`.
    pub line: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Seen {
    /// The value of a header; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(it, _)| it == name);
        found.map_or("", |(_, value)| value)
    }
}

struct State {
    seen: Mutex<Vec<Seen>>,
    ended: Mutex<Vec<String>>,
    release: Mutex<Receiver<()>>,
}

/// The server; its threads end with the test.
pub struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
    release: Sender<()>,
}

impl Upstream {
    /// Listens on a port of its own.
    ///
    /// # Panics
    /// When the machine has no port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let (release, waiting) = channel();
        let state = Arc::new(State {
            seen: Mutex::default(),
            ended: Mutex::default(),
            release: Mutex::new(waiting),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(&stream, &state));
            }
        });
        Self {
            address,
            state,
            release,
        }
    }

    /// Its address, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the other side of the HTTP port's contract is.
    pub fn peer(&self) -> String {
        format!("{}{}", self.url(), PEER.trim_end_matches('/'))
    }

    /// What it was sent so far.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.state.seen).clone()
    }

    /// How streams and sockets ended so far.
    pub fn ended(&self) -> Vec<String> {
        lock(&self.state.ended).clone()
    }

    /// Lets `/stream` go on by one event.
    pub fn release(&self) {
        let _ = self.release.send(());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut headers: Vec<(String, String)> = Vec::new();
    loop {
        let mut text = String::new();
        reader.read_line(&mut text)?;
        let Some((name, value)) = text.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut seen = Seen {
        line: line.trim_end().to_owned(),
        headers,
        body: Vec::new(),
    };
    if seen.header("transfer-encoding") == "chunked" {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = u64::from_str_radix(size.trim(), 16).unwrap_or(0);
            reader.by_ref().take(size).read_to_end(&mut seen.body)?;
            reader.read_line(&mut String::new())?;
            if size == 0 {
                break;
            }
        }
    } else {
        let size = seen.header("content-length").parse().unwrap_or(0);
        reader.by_ref().take(size).read_to_end(&mut seen.body)?;
    }
    Ok(seen)
}

fn serve(stream: &TcpStream, state: &State) {
    let mut reader = BufReader::new(stream);
    let Ok(seen) = read_request(&mut reader) else {
        return;
    };
    if seen.line.is_empty() {
        return;
    }
    lock(&state.seen).push(seen.clone());
    let path = seen.line.split([' ', '?']).nth(1).unwrap_or_default();
    let ended = match path {
        "/stream" => events(stream, state),
        "/socket" => socket(stream, &mut reader, seen.header("sec-websocket-key")),
        "/moved" => answer(stream, "302 Found", "location: /stolen\r\n", b""),
        "/html" => answer(stream, "200 OK", "content-type: text/html\r\n", b"<script>"),
        path if path.starts_with(PEER) => peer(stream, path, &seen),
        _ => answer(
            stream,
            "200 OK",
            "content-type: application/json\r\nset-cookie: x=1\r\nserver: x\r\nkeep-alive: timeout=5\r\n\
             access-control-allow-origin: *\r\n",
            b"{\"upstream\":true}",
        ),
    };
    if let Ok(Some(how)) = ended {
        lock(&state.ended).push(how);
    }
}

fn answer(
    mut stream: &TcpStream,
    status: &str,
    headers: &str,
    body: &[u8],
) -> io::Result<Option<String>> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n"
    )?;
    stream.write_all(body)?;
    Ok(None)
}

/// What the contract of the HTTP port says of each path; `hangs-up` takes the request and closes.
fn peer(mut stream: &TcpStream, path: &str, seen: &Seen) -> io::Result<Option<String>> {
    match path.trim_start_matches(PEER) {
        "echo" => {
            let echoed = seen.header("x-echo");
            let headers = format!("x-echo: {echoed}\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n");
            answer(stream, "200 OK", &headers, &seen.body)
        }
        "redirect" => answer(stream, "302 Found", "location: /peer/echo\r\n", b""),
        "slow" => {
            left_within(stream, SLOW)?;
            answer(stream, "200 OK", "", b"")
        }
        "drip" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na")?;
            left_within(stream, SLOW)?;
            stream.write_all(b"b")?;
            Ok(None)
        }
        "cut" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")?;
            Ok(None)
        }
        "hangs-up" => Ok(None),
        _ => answer(stream, "404 Not Found", "", b"no"),
    }
}

/// Waits until the other side leaves, at most so long.
fn left_within(mut stream: &TcpStream, limit: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(limit))?;
    // Nothing is sent to a server that answers: whatever comes of it, the wait is over.
    let _ = stream.read(&mut [0; 16]);
    Ok(())
}

/// One event at once, each other when it is released, until the other side is gone.
fn events(mut stream: &TcpStream, state: &State) -> io::Result<Option<String>> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    )?;
    stream.set_read_timeout(Some(Duration::from_millis(50)))?;
    let mut next = 1;
    let mut send = |mut stream: &TcpStream| {
        let event = format!("id: {next}\ndata: event {next}\n\n");
        next += 1;
        write!(stream, "{:x}\r\n{event}\r\n", event.len())
    };
    send(stream)?;
    loop {
        if lock(&state.release).try_recv().is_ok() {
            send(stream)?;
        }
        // Nothing is sent to a server that answers: an end or an error is the other side leaving.
        match stream.read(&mut [0; 16]) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) => {}
            _ => return Ok(Some("stream left".to_owned())),
        }
    }
}

/// Echoes texts; at `close me` it closes with 4002 itself.
fn socket(mut stream: &TcpStream, reader: &mut impl Read, key: &str) -> io::Result<Option<String>> {
    use base64::Engine as _;
    let digest = ring::digest::digest(
        &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}{ACCEPT}").as_bytes(),
    );
    let accept = base64::engine::general_purpose::STANDARD.encode(digest);
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    )?;
    stream.set_read_timeout(Some(PATIENCE))?;
    loop {
        let frame = Frame::read(reader)?;
        match (frame.opcode, frame.payload.as_slice()) {
            (Frame::CLOSE, payload) => {
                Frame::close(frame.code()).write(stream, false)?;
                return Ok(Some(format!("socket {} {}", frame.code(), text(payload))));
            }
            (_, b"close me") => Frame::close(4002).write(stream, false)?,
            _ => frame.write(stream, false)?,
        }
    }
}

fn text(close: &[u8]) -> String {
    let reason = close.get(2..).unwrap_or_default();
    String::from_utf8_lossy(reason).into_owned()
}

/// One unfragmented frame of a WebSocket with at most 125 bytes: RFC 6455 section 5.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub opcode: u8,
    /// Unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Opcode of a text.
    pub const TEXT: u8 = 1;
    /// Opcode of a close.
    pub const CLOSE: u8 = 8;

    /// A text.
    pub fn text(text: &str) -> Self {
        Self {
            opcode: Self::TEXT,
            payload: text.as_bytes().to_vec(),
        }
    }

    /// A close with that code and the reason `done`.
    pub fn close(code: u16) -> Self {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend(b"done");
        Self {
            opcode: Self::CLOSE,
            payload,
        }
    }

    /// The code of a close; 0 for none.
    pub fn code(&self) -> u16 {
        match self.payload.as_slice() {
            [high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => 0,
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// The connection ended or broke.
    pub fn read(reader: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 2];
        reader.read_exact(&mut head)?;
        let [first, second] = head;
        let mut mask = [0; 4];
        if second & 0x80 != 0 {
            reader.read_exact(&mut mask)?;
        }
        let mut payload = vec![0; usize::from(second & 0x7f)];
        reader.read_exact(&mut payload)?;
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        Ok(Self {
            opcode: first & 0x0f,
            payload,
        })
    }

    /// Writes it; a client's is masked.
    ///
    /// # Errors
    /// The connection broke.
    pub fn write(&self, mut stream: impl Write, masked: bool) -> io::Result<()> {
        let length = u8::try_from(self.payload.len()).unwrap_or(125);
        let mut bytes = vec![0x80 | self.opcode, length | if masked { 0x80 } else { 0 }];
        if masked {
            // A mask of zeroes is one, and leaves the payload as it is.
            bytes.extend([0; 4]);
        }
        bytes.extend(&self.payload);
        stream.write_all(&bytes)
    }
}

//! The null LRS: accepts requests on persistent connections, discards the bodies and responds with 204. It runs in
//! threads of the bench itself, so no row includes its work.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};

const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const READ: usize = 256 << 10;

pub struct Sink {
    port: u16,
    received: Arc<Received>,
}

#[derive(Default)]
struct Received {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// The requests since the last query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    pub requests: u64,
    pub bytes: u64,
}

impl Sink {
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let received = Arc::new(Received::default());
        let counters = Arc::clone(&received);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let counters = Arc::clone(&counters);
                thread::spawn(move || serve(connection, &counters));
            }
        });
        Ok(Self { port, received })
    }

    /// The xAPI endpoint.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/xAPI", self.port)
    }

    pub fn take(&self) -> Delivery {
        Delivery {
            requests: self.received.requests.swap(0, Ordering::SeqCst),
            bytes: self.received.bytes.swap(0, Ordering::SeqCst),
        }
    }
}

/// Responds until the client closes the connection. An unknown request closes the connection, so that its run fails.
fn serve(mut connection: TcpStream, received: &Received) {
    let mut buffer = vec![0; READ];
    while let Ok(Some(length)) = receive(&mut connection, &mut buffer) {
        received.requests.fetch_add(1, Ordering::SeqCst);
        received.bytes.fetch_add(length, Ordering::SeqCst);
        if connection.write_all(ANSWER).is_err() {
            return;
        }
    }
}

/// Reads one request. Returns the length of its body, or None after the client closes the connection.
fn receive(connection: &mut TcpStream, buffer: &mut [u8]) -> Result<Option<u64>> {
    let mut filled = 0;
    let head = loop {
        let count = connection.read(&mut buffer[filled..])?;
        if count == 0 {
            return Ok(None);
        }
        filled += count;
        if let Some(end) = memchr::memmem::find(&buffer[..filled], b"\r\n\r\n") {
            break end + 4;
        }
    };
    let fields = std::str::from_utf8(&buffer[..head])?.to_ascii_lowercase();
    let field = |name: &str| fields.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length: u64 = field("content-length:").context("the request has no length")?.parse()?;
    if field("expect:").is_some() {
        connection.write_all(CONTINUE)?;
    }
    let mut left = length - (filled - head) as u64;
    while left > 0 {
        match connection.read(buffer)? {
            0 => bail!("the request is cut short"),
            count => left -= count as u64,
        }
    }
    Ok(Some(length))
}

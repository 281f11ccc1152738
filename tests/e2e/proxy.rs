//! Proxies with faults, between a command and its server. They end with the test.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const DELAY: Duration = Duration::from_millis(300);

/// What happens to one of five requests or connections. The others pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The status 500 instead of the server's response.
    Error,
    /// The server receives the request, and its response is lost.
    Lost,
    Delayed,
}

impl Fault {
    fn of(number: u64) -> Self {
        match number % 5 {
            0 => Self::Error,
            2 => Self::Lost,
            3 => Self::Delayed,
            _ => Self::None,
        }
    }
}

/// A proxy for a server of HTTP. Counts the requests that it disturbed.
pub struct HttpProxy {
    pub address: SocketAddr,
    disturbed: Arc<AtomicU64>,
}

impl HttpProxy {
    pub fn start(server: SocketAddr) -> Self {
        let disturbed = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&disturbed);
        let requests = AtomicU64::new(0);
        let address = listen(server, move |client| {
            let fault = Fault::of(requests.fetch_add(1, Ordering::Relaxed));
            if fault != Fault::None {
                count.fetch_add(1, Ordering::Relaxed);
            }
            pass_request(client, server, fault)
        });
        Self { address, disturbed }
    }

    pub fn disturbed(&self) -> u64 {
        self.disturbed.load(Ordering::Relaxed)
    }
}

/// Serves one request, and closes the connection.
fn pass_request(mut client: TcpStream, server: SocketAddr, fault: Fault) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        match line.trim().is_empty() {
            true => break,
            false if lower.starts_with("connection:") => {}
            false => head.push_str(&line),
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    match fault {
        Fault::Error => {
            return client.write_all(
                b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
        Fault::Delayed => thread::sleep(DELAY),
        Fault::None | Fault::Lost => {}
    }
    let mut server = TcpStream::connect(server)?;
    server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    server.write_all(&body)?;
    let mut response = Vec::new();
    server.read_to_end(&mut response)?;
    if fault == Fault::Lost {
        return client.shutdown(Shutdown::Both);
    }
    client.write_all(&response)
}

/// A proxy for any protocol. Cuts one of five connections in the middle, and delays another one.
pub fn cutting(server: SocketAddr) -> SocketAddr {
    let connections = AtomicU64::new(0);
    listen(server, move |client| {
        let fault = Fault::of(connections.fetch_add(1, Ordering::Relaxed));
        if fault == Fault::Delayed {
            thread::sleep(DELAY);
        }
        let server = TcpStream::connect(server)?;
        let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut from_client, &mut to_server);
            let _ = to_server.shutdown(Shutdown::Write);
        });
        let (mut from_server, mut to_client) = (server, client);
        // enough for the handshake and a first response
        let limit = if fault == Fault::Lost { 16 << 10 } else { u64::MAX };
        let _ = io::copy(&mut (&mut from_server).take(limit), &mut to_client);
        let _ = from_server.shutdown(Shutdown::Both);
        to_client.shutdown(Shutdown::Both)
    })
}

/// Listens at the address from which this machine reaches the server. Serves each connection in a thread of its own. A connection that fails is one of the faults.
fn listen(
    server: SocketAddr,
    serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> SocketAddr {
    // helm of the sandbox runs in a network of its own, which reaches only this address of the machine
    let route = UdpSocket::bind(("0.0.0.0", 0)).expect("a port");
    route.connect(server).expect("a route to the server");
    let ip = route.local_addr().expect("an address").ip();
    let listener = TcpListener::bind((ip, 0)).expect("a port");
    let address = listener.local_addr().expect("a port");
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || _ = serve(client));
        }
    });
    address
}

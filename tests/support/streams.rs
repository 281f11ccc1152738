//! The server side of a port-forward and of an exec: websocket messages whose first byte is the channel.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// The protocol of an upgraded connection.
#[derive(Debug, Clone)]
pub enum Stream {
    /// A port-forward of this port to the address.
    Forward(u16, SocketAddr),
    Exec(Exec),
}

/// A command in a container, which responds after it reads all its input.
#[derive(Clone)]
pub struct Exec(pub Arc<Replying>);

type Replying = dyn Fn(&[u8]) -> Exited + Send + Sync;

/// The output of a command and its exit code.
pub struct Exited {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exec")
    }
}

impl Stream {
    pub fn protocol(&self) -> &'static str {
        match self {
            Self::Forward(..) => "v4.channel.k8s.io",
            Self::Exec(_) => "v5.channel.k8s.io",
        }
    }

    pub async fn serve(self, upgraded: impl AsyncRead + AsyncWrite + Unpin) {
        match self {
            Self::Forward(port, address) => bridge(upgraded, port, address).await,
            Self::Exec(exec) => execute(upgraded, &exec).await,
        }
    }
}

/// Bytes of the only forwarded port, and its errors.
const DATA: u8 = 0;
const ERROR: u8 = 1;

/// Copies between a websocket and an address until one of them ends.
async fn bridge(upgraded: impl AsyncRead + AsyncWrite + Unpin, port: u16, address: SocketAddr) {
    let (mut to_client, mut from_client) =
        WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await.split();
    // each channel begins with the number of its port
    for channel in [DATA, ERROR] {
        let [low, high] = port.to_le_bytes();
        if to_client.send(Message::binary(vec![channel, low, high])).await.is_err() {
            return;
        }
    }
    let Ok(mut pod) = TcpStream::connect(address).await else { return };
    let (mut from_pod, mut to_pod) = pod.split();
    let upwards = async {
        while let Some(Ok(message)) = from_client.next().await {
            let bytes = message.into_data();
            if bytes.first() == Some(&DATA) && to_pod.write_all(&bytes[1..]).await.is_err() {
                return;
            }
        }
    };
    let downwards = async {
        let mut buffer = vec![0; 32 << 10];
        while let Ok(length @ 1..) = from_pod.read(&mut buffer).await {
            let message = [&[DATA], &buffer[..length]].concat();
            if to_client.send(Message::binary(message)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { () = upwards => {}, () = downwards => {} }
}

/// Channels of an exec; the last says which channel is closed.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const CLOSE: u8 = 255;

async fn execute(upgraded: impl AsyncRead + AsyncWrite + Unpin, exec: &Exec) {
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
    let mut input = Vec::new();
    loop {
        // the client may close the connection before the end of its input
        let Some(Ok(message)) = socket.next().await else { return };
        match &message.into_data()[..] {
            [CLOSE, STDIN] => break,
            [STDIN, bytes @ ..] => input.extend_from_slice(bytes),
            _ => {}
        }
    }
    let ended = (exec.0)(&input);
    let status = match ended.code {
        0 => serde_json::json!({"status": "Success"}),
        code => serde_json::json!({"status": "Failure", "reason": "NonZeroExitCode",
                                   "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}}),
    };
    for (channel, text) in
        [(STDOUT, ended.stdout), (STDERR, ended.stderr), (STATUS, status.to_string())]
    {
        let message = [&[channel], text.as_bytes()].concat();
        if socket.send(Message::binary(message)).await.is_err() {
            return;
        }
    }
    let _ = socket.close(None).await;
}

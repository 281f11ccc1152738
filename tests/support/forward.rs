//! The API server's end of a port-forward: websocket messages whose first byte is the channel.

use std::net::SocketAddr;

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

pub const PROTOCOL: &str = "v4.channel.k8s.io";

/// Bytes of the only forwarded port, and its errors.
const DATA: u8 = 0;
const ERROR: u8 = 1;

/// Copies between a websocket and an address until one of them ends.
pub async fn bridge(upgraded: impl AsyncRead + AsyncWrite + Unpin, port: u16, address: SocketAddr) {
    let (mut to_client, mut from_client) = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await.split();
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

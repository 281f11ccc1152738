//! A port-forward: one connection to a port of a Pod, over a websocket of the API server.
//!
//! The first byte of each message is the channel, as in Kubernetes' `portforward.k8s.io` protocol: 0 for data, 1 for
//! errors. kube's own port-forward sends messages of 4 KiB. For 22,000 statements, these cost the API server, the kubelet
//! and the container runtime 1.7 s of CPU time; larger messages cost 0.8 s.

use anyhow::{Context, Result};
use bytes::{Buf, BufMut, BytesMut};
use futures::{Sink, SinkExt, Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, Resource};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio_tungstenite::tungstenite::{self, Message};

/// The channel for data.
const DATA: u8 = 0;
/// The largest message to send, in bytes.
const MESSAGE: usize = 64 << 10;

pub async fn open(client: &Client, namespace: &str, pod: &str, port: u16) -> Result<DuplexStream> {
    let request =
        kube::core::Request::new(Pod::url_path(&(), Some(namespace))).portforward(pod, &[port])?;
    let (sink, source) = client.connect(request).await?.into_stream().split();
    let (ours, theirs) = tokio::io::duplex(2 * MESSAGE);
    let (reader, writer) = tokio::io::split(theirs);
    tokio::spawn(async move {
        // when one direction ends, the connection is closed
        tokio::select! {
            _ = to_pod(reader, sink) => {}
            _ = from_pod(source, writer) => {}
        }
    });
    Ok(ours)
}

async fn to_pod(
    mut reader: ReadHalf<DuplexStream>,
    mut sink: impl Sink<Message, Error = tungstenite::Error> + Unpin,
) -> Result<()> {
    loop {
        let mut message = BytesMut::with_capacity(MESSAGE);
        message.put_u8(DATA);
        if reader.read_buf(&mut message).await? == 0 {
            return Ok(sink.send(Message::Close(None)).await?);
        }
        sink.send(Message::Binary(message.freeze())).await?;
    }
}

/// Ends at the first error that the API server reports.
async fn from_pod(
    mut source: impl Stream<Item = tungstenite::Result<Message>> + Unpin,
    mut writer: WriteHalf<DuplexStream>,
) -> Result<()> {
    // each channel begins with the number of its port
    let mut begun = [false; 2];
    while let Some(message) = source.next().await.transpose()? {
        let Message::Binary(mut bytes) = message else { continue };
        let channel = bytes.try_get_u8().context("an empty message")?;
        match begun.get_mut(usize::from(channel)) {
            Some(begun @ false) => *begun = true,
            Some(true) if channel == DATA => writer.write_all(&bytes).await?,
            _ => return Ok(()),
        }
    }
    Ok(())
}

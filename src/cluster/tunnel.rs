//! A connector for hyper: reaches Services by their in-cluster names (`NAME.NAMESPACE.svc`) through a port-forward to a
//! ready Pod, and other hosts by TCP. The API server's service proxy is not suitable, because it drops `Authorization`.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result};
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection as HyperConnection};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::error::Failure;

use super::access::{Rule, Rules};
use super::{forward, pods};

/// The permissions to reach a Service, besides `get` on the Service itself.
pub const RULES: Rules = &[
    Rule::new("", "pods", &["list"], "the Pods behind a Service, and their state"),
    // over WebSockets, Kubernetes 1.35 and later also require `create`
    Rule::new("", "pods/portforward", &["get", "create"], "requests through a port-forward"),
];

/// Opens connections. Cheap to clone: hyper clones it for each connection.
#[derive(Clone)]
pub struct Connector {
    /// None: only plain TCP, for an LRS outside the stack.
    cluster: Option<Client>,
}

impl Connector {
    pub fn to_cluster(client: Client) -> Self {
        Self { cluster: Some(client) }
    }

    pub fn direct() -> Self {
        Self { cluster: None }
    }

    async fn connect(self, uri: Uri) -> Result<Connection> {
        let host = uri.host().context("no host in the address")?.trim_matches(['[', ']']);
        let port =
            uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        match (&self.cluster, host.strip_suffix(".svc").and_then(|name| name.split_once('.'))) {
            (Some(_), Some((service, namespace))) => {
                self.to_service(namespace, service, port).await
            }
            _ => {
                let stream = TcpStream::connect((host, port)).await?;
                stream.set_nodelay(true)?;
                Ok(Connection::Direct(stream))
            }
        }
    }

    /// A connection to a port of a Service, forwarded to a ready pod of it.
    pub async fn to_service(
        &self,
        namespace: &str,
        service: &str,
        port: u16,
    ) -> Result<Connection> {
        let client = self.cluster.as_ref().context("the connector has no cluster")?;
        to_service(client, namespace, service, port).await
    }
}

async fn to_service(
    client: &Client,
    namespace: &str,
    service: &str,
    port: u16,
) -> Result<Connection> {
    let found = Api::<Service>::namespaced(client.clone(), namespace)
        .get(service)
        .await
        .with_context(|| format!("service {service}"))?;
    let spec = found.spec.unwrap_or_default();
    let selector = spec.selector.unwrap_or_default();
    let selector =
        selector.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    let api = Api::<Pod>::namespaced(client.clone(), namespace);
    let pods = api
        .list(&ListParams::default().labels(&selector))
        .await
        .with_context(|| format!("pods of service {service}"))?;
    let Some(pod) = pods.items.iter().find(|pod| pods::is_ready(pod)) else {
        return Err(Failure::failed(format!("service {service} has no ready pod"))
            .hint(format!("kubectl get pods -n {namespace} -l {selector}"))
            .into());
    };
    let target = spec
        .ports
        .unwrap_or_default()
        .into_iter()
        .find(|p| p.port == i32::from(port))
        .and_then(|p| p.target_port);
    let port = match target {
        Some(IntOrString::Int(number)) => u16::try_from(number)?,
        Some(IntOrString::String(name)) => pods::container_port(pod, &name)
            .with_context(|| format!("service {service} has no port {name}"))?,
        None => port,
    };
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let stream = forward::open(client, namespace, name, port)
        .await
        .with_context(|| format!("port-forward to pod {name}"))?;
    Ok(Connection::Forwarded(stream))
}

/// An open connection.
pub enum Connection {
    Forwarded(tokio::io::DuplexStream),
    Direct(TcpStream),
}

macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Connection::Forwarded($stream) => $call,
            Connection::Direct($stream) => $call,
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    // without these two methods, hyper copies every body before it writes
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Forwarded(stream) => stream.is_write_vectored(),
            Self::Direct(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// The connection type that hyper requires.
pub type TokioConnection = TokioIo<Connection>;

impl HyperConnection for Connection {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioConnection;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { Ok(TokioIo::new(connector.connect(uri).await?)) })
    }
}

//! kube's client over our own TLS. The layers are those of kube's own builder, which takes no TLS configuration.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use http::{HeaderValue, Request, Response, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use rustls::ClientConfig;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt as _};
use tower_http::decompression::DecompressionLayer;
use tower_http::trace::TraceLayer;
use tower_service::Service;
use tracing::Span;

use crate::output::traces;

use super::bearer::Bearer;

/// A client for this configuration, which sends the bearer's token with each request.
///
/// # Errors
///
/// The proxy or a header of the configuration cannot be used.
pub fn client(
    config: &Config,
    tls: &ClientConfig,
    bearer: Option<&Bearer>,
) -> Result<kube::Client> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let connector = match &config.proxy_url {
        None => boxed(http),
        Some(proxy) => match proxy.scheme_str() {
            Some("socks5") => boxed(SocksV5::new(proxy.clone(), http)),
            Some("http") => boxed(tunnel(proxy, http)?),
            Some("https") => boxed(tunnel(proxy, secured(http, config, tls)?)?),
            _ => return Err(anyhow!("`{proxy}` is not the address of an HTTP or SOCKS5 proxy")),
        },
    };
    let mut connector = TimeoutConnector::new(secured(connector, config, tls)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let client = legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(|request: &Request<Body>| {
                    traces::request(request.method(), request.uri())
                })
                .on_request(())
                .on_failure(())
                .on_response(|response: &Response<_>, took: Duration, _: &Span| {
                    traces::response(response.status(), took);
                }),
        )
        .option_layer(bearer.map(Bearer::layer))
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .layer(
            DecompressionLayer::new()
                .no_br()
                .no_deflate()
                .no_zstd()
                .gzip(!config.disable_compression),
        )
        .map_err(BoxError::from)
        .service(client);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

fn tunnel<C>(proxy: &Uri, connector: C) -> Result<Tunnel<C>> {
    use base64::Engine as _;
    let tunnel = Tunnel::new(proxy.clone(), connector);
    let account = proxy.authority().and_then(|authority| authority.as_str().split_once('@'));
    let Some((account, _)) = account else { return Ok(tunnel) };
    let account: Vec<u8> = percent_encoding::percent_decode_str(account).collect();
    let value = base64::engine::general_purpose::STANDARD.encode(account);
    Ok(tunnel.with_auth(HeaderValue::from_str(&format!("Basic {value}"))?))
}

fn secured<C>(connector: C, config: &Config, tls: &ClientConfig) -> Result<HttpsConnector<C>> {
    let mut builder = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name =
            name.clone().try_into().with_context(|| format!("`{name}` is not a server name"))?;
        builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    Ok(builder.enable_http1().wrap_connector(connector))
}

/// Connects to the server, directly or through a proxy.
type Connector = BoxCloneSyncService<Uri, Stream, BoxError>;

/// One type for all connectors, so that the HTTP client is compiled once.
fn boxed<C>(connector: C) -> Connector
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Io + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError> + 'static,
{
    let connector = connector.map_response(|stream| Stream(Box::new(stream)));
    BoxCloneSyncService::new(connector.map_err(Into::into))
}

trait Io: Connection + Read + Write + Send + Unpin {}

impl<T: Connection + Read + Write + Send + Unpin> Io for T {}

struct Stream(Box<dyn Io>);

impl Stream {
    fn inner(self: Pin<&mut Self>) -> Pin<&mut dyn Io> {
        Pin::new(&mut *self.get_mut().0)
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.0.connected()
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.inner().poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write_vectored(context, slices)
    }
}

//! kube's client over our own TLS. The layers are those of kube's own builder, which takes no TLS configuration.

use std::error::Error as StdError;

use anyhow::{Context as _, Result, anyhow};
use http::{HeaderValue, Uri};
use hyper::rt::{Read, Write};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use rustls::ClientConfig;
use tower::{BoxError, ServiceBuilder};
use tower_http::decompression::DecompressionLayer;
use tower_service::Service;

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
    let Some(proxy) = &config.proxy_url else { return over(http, config, tls, bearer) };
    match proxy.scheme_str() {
        Some("socks5") => over(SocksV5::new(proxy.clone(), http), config, tls, bearer),
        Some("http") => over(tunnel(proxy, http)?, config, tls, bearer),
        Some("https") => over(tunnel(proxy, secured(http, config, tls)?)?, config, tls, bearer),
        _ => Err(anyhow!("`{proxy}` is not the address of an HTTP or SOCKS5 proxy")),
    }
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

fn over<C>(
    connector: C,
    config: &Config,
    tls: &ClientConfig,
    bearer: Option<&Bearer>,
) -> Result<kube::Client>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError> + StdError + Send + Sync + 'static,
{
    let mut connector = TimeoutConnector::new(secured(connector, config, tls)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let client = legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
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

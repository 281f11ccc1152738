//! Requests to the components' own APIs, through a port-forward or directly.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};

use crate::error::Failure;
use crate::output::{text, traces};

use super::tunnel::Connector;

/// The largest accepted response, in bytes. The largest legitimate one is Ralph's echo of a rejected batch.
const MAX_RESPONSE: usize = 64 << 20;
/// How long a request may take, and how long no data may arrive.
pub const TIMEOUT: Duration = Duration::from_secs(60);
/// Servers close idle connections, Superset after 2 s. A port-forward reports this only at the next write.
const IDLE: Duration = Duration::from_secs(1);

/// The account of a request.
#[derive(Clone)]
pub struct Account {
    pub user: String,
    pub password: SecretString,
}

/// Sends requests with bodies of one type.
pub type Transport<B> = legacy::Client<HttpsConnector<Connector>, B>;

pub struct HttpClient {
    client: Transport<Full<Bytes>>,
    base: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A complete response, with any status.
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl HttpClient {
    /// A client for a Service of the cluster, by its in-cluster URL.
    pub fn in_cluster(client: kube::Client, base: &str) -> Result<Self> {
        Self::new(Connector::to_cluster(client), base, trusting(&[])?)
    }

    /// The same over TLS. Trusts only the given certificate authority, in PEM.
    pub fn in_cluster_tls(client: kube::Client, base: &str, authority_pem: &[u8]) -> Result<Self> {
        Self::new(Connector::to_cluster(client), base, trusting(authority_pem)?)
    }

    /// A client for a URL outside the cluster.
    pub fn direct(base: &str) -> Result<Self> {
        // reading the machine's authorities takes longer than sending a batch
        let tls =
            if base.starts_with("http:") { trusting(&[])? } else { trusting_like_the_machine()? };
        Self::new(Connector::direct(), base, tls)
    }

    fn new(connector: Connector, base: &str, tls: rustls::ClientConfig) -> Result<Self> {
        base.parse::<Uri>().with_context(|| format!("`{base}` is not a URL"))?;
        let client = transport(connector, tls);
        Ok(Self { client, base: base.trim_end_matches('/').to_string(), headers: Vec::new() })
    }

    pub fn with_account(self, account: &Account) -> Result<Self> {
        let pair = format!("{}:{}", account.user, account.password.expose_secret());
        let mut value = HeaderValue::from_str(&format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(pair)
        ))?;
        value.set_sensitive(true);
        Ok(self.with_header(AUTHORIZATION, value))
    }

    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub async fn get(&self, path: &str) -> Result<Response> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    /// Sends a JSON body, or none when empty, and reads the complete response.
    ///
    /// # Errors
    /// When there is no complete response within the timeout.
    pub async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Response> {
        self.send_as("application/json", method, path, body).await
    }

    /// Sends a body of any type.
    pub async fn send_as(
        &self,
        content_type: &str,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response> {
        let span = traces::request(&method, format_args!("{}{path}", self.base));
        let mut request = self.request(method, path);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let mut request = request
            .body(Full::new(body))
            .with_context(|| format!("`{path}` is not a valid path"))?;
        let connection = capture_connection(&mut request);
        let exchange = async {
            let response = self.client.request(request).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            // uvicorn closes the connection without notice after an unhandled error of its application
            if status.is_server_error()
                && let Some(connection) = connection.connection_metadata().as_ref()
            {
                connection.poison();
            }
            let body = Limited::new(response.into_body(), MAX_RESPONSE)
                .collect()
                .await
                .map_err(anyhow::Error::from_boxed)?
                .to_bytes();
            Ok(Response { status, headers, body })
        };
        let begun = Instant::now();
        let response: Result<Response> = tokio::time::timeout(TIMEOUT, exchange)
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("no response within {} s", TIMEOUT.as_secs())));
        if let Ok(response) = &response {
            span.in_scope(|| traces::response(response.status, begun.elapsed()));
        }
        response.with_context(|| self.base.clone())
    }

    fn request(&self, method: Method, path: &str) -> request::Builder {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Downloads a large body. Reports the number of received bytes to `arrived`.
    ///
    /// # Errors
    /// When the body exceeds `limit` bytes, or no data arrives within the timeout.
    pub async fn download(
        &self,
        path: &str,
        limit: u64,
        arrived: &(dyn Fn(u64) + Sync),
    ) -> Result<Response> {
        let span = traces::request(&Method::GET, format_args!("{}{path}", self.base));
        let begun = Instant::now();
        let request = self
            .request(Method::GET, path)
            .body(Full::default())
            .with_context(|| format!("`{path}` is not a valid path"))?;
        let timed_out = || anyhow::anyhow!("no data arrived for {} s", TIMEOUT.as_secs());
        let response = tokio::time::timeout(TIMEOUT, self.client.request(request))
            .await
            .map_err(|_| timed_out())??;
        span.in_scope(|| traces::response(response.status(), begun.elapsed()));
        let (head, mut incoming) = response.into_parts();
        let mut body = BytesMut::new();
        while let Some(frame) = tokio::time::timeout(TIMEOUT, incoming.frame())
            .await
            .map_err(|_| timed_out())?
            .transpose()?
        {
            body.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
            if body.len() as u64 > limit {
                return Err(Failure::failed(format!("it is larger than {} MB", limit >> 20)).into());
            }
            arrived(body.len() as u64);
        }
        Ok(Response { status: head.status, headers: head.headers, body: body.freeze() })
    }
}

impl Response {
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).with_context(|| {
            format!("cannot parse a response as the expected JSON (status {})", self.status)
        })
    }

    /// The first 400 bytes of the body on one line, for an error message.
    pub fn excerpt(&self) -> String {
        text::one_line(&String::from_utf8_lossy(&self.body[..self.body.len().min(400)]))
    }
}

/// Whether the server presented a certificate of an untrusted authority.
pub fn is_untrusted(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(innermost(cause).downcast_ref(), Some(rustls::Error::InvalidCertificate(_)))
    })
}

/// The innermost error. An I/O error reports the source of its inner error as its own, and so hides the inner error.
fn innermost<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> &'a (dyn std::error::Error + 'static) {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(carried) => innermost(carried),
        None => error,
    }
}

fn transport<B>(connector: Connector, tls: rustls::ClientConfig) -> Transport<B>
where
    B: hyper::body::Body + Send,
    B::Data: Send,
{
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
    let connector = builder.https_or_http().enable_http1().wrap_connector(connector);
    legacy::Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector)
}

/// A transport to hosts outside the cluster.
///
/// # Errors
/// When the machine's certificate authorities cannot be read.
pub fn direct_transport<B>() -> Result<Transport<B>>
where
    B: hyper::body::Body + Send,
    B::Data: Send,
{
    Ok(transport(Connector::direct(), trusting_like_the_machine()?))
}

fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    std::sync::Arc::new(rustls::crypto::ring::default_provider())
}

fn trusting_like_the_machine() -> Result<rustls::ClientConfig> {
    Ok(rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .try_with_platform_verifier()?
        .with_no_client_auth())
}

fn trusting(authority_pem: &[u8]) -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority_pem) {
        roots
            .add(certificate.context("the certificate authority is not PEM")?)
            .context("the certificate authority is not usable")?;
    }
    Ok(rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

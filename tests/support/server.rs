//! An HTTP server inside the test. A function computes its responses, and it records its requests.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use futures::stream;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::streams::Stream;

/// A request that reached a server.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{self} has a body that is not JSON: {error}"))
    }
}

/// `PATCH /api/v1/... dryRun=All`
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.method, self.path, self.query)
    }
}

/// The reaction of a server to a request.
#[derive(Debug, Clone)]
pub enum Reply {
    Json(u16, Value),
    Text(u16, String),
    /// A file.
    Bytes(Bytes),
    /// A redirect to this address.
    Redirect(String),
    /// The beginning of a response, then the server closes the connection.
    CutShort(&'static str),
    /// The server closes the connection without a response.
    Cut,
    /// The server never responds.
    Hang,
    /// The connection becomes a port-forward or an exec.
    Stream(Stream),
}

impl Reply {
    pub fn ok(body: Value) -> Self {
        Self::Json(200, body)
    }

    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::Text(status, text.into())
    }
}

type Log = Arc<(Mutex<Vec<Request>>, Condvar)>;
type Body = BoxBody<Bytes, std::io::Error>;
type Replying = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

pub struct Server {
    address: SocketAddr,
    log: Log,
    reply: Replying,
    // the server runs until the runtime is dropped
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    pub fn start(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(None, reply)
    }

    pub fn start_tls(
        tls: TlsAcceptor,
        reply: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(Some(tls), reply)
    }

    fn start_with(
        tls: Option<TlsAcceptor>,
        reply: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the server");
        let listener =
            runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port for the server");
        let address = listener.local_addr().expect("the server's address");
        let log = Log::default();
        let reply: Replying = Arc::new(reply);
        runtime.spawn(accept(listener, tls, Arc::clone(&log), Arc::clone(&reply)));
        Self { address, log, reply, _runtime: runtime }
    }

    /// The response to a request, without a connection.
    pub fn ask(&self, request: &Request) -> Reply {
        (self.reply)(request)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.log.0.lock().expect("the log").clone()
    }

    /// Replaces the recorded requests.
    pub fn set_requests(&self, requests: Vec<Request>) {
        *self.log.0.lock().expect("the log") = requests;
    }

    /// Blocks until a request arrives.
    pub fn wait_for_a_request(&self) {
        let log = self.log.0.lock().expect("the log");
        drop(self.log.1.wait_while(log, |log| log.is_empty()).expect("the log"));
    }
}

/// The address of a port without a server: connections fail.
pub fn unreachable_url() -> String {
    // no test server ever has this port
    "http://127.0.0.1:9".to_string()
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, log: Log, reply: Replying) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, log, reply) = (tls.clone(), Arc::clone(&log), Arc::clone(&reply));
        tokio::spawn(async move {
            match tls {
                None => serve(stream, log, reply).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, log, reply).await;
                    }
                }
            }
        });
    }
}

async fn serve<S>(stream: S, log: Log, reply: Replying)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (log, reply) = (Arc::clone(&log), Arc::clone(&reply));
        async move { respond(request, &log, &*reply).await }
    });
    // a client may close the connection at any time
    let _ =
        http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

async fn respond(
    mut request: hyper::Request<Incoming>,
    log: &Log,
    reply: &(dyn Fn(&Request) -> Reply + Sync),
) -> Result<Response<Body>, Cut> {
    let body = request.body_mut().collect().await.map_err(|_| Cut)?.to_bytes();
    let seen = Request {
        method: request.method().clone(),
        path: request.uri().path().into(),
        query: request.uri().query().unwrap_or_default().into(),
        headers: request.headers().clone(),
        body,
    };
    let reply = reply(&seen);
    log.0.lock().expect("the log").push(seen);
    log.1.notify_all();
    match reply {
        Reply::Json(status, value) => Ok(whole(status, "application/json", value.to_string())),
        Reply::Text(status, text) => Ok(whole(status, "text/plain", text)),
        Reply::Bytes(bytes) => {
            Ok(Response::new(Full::new(bytes).map_err(|never: Infallible| match never {}).boxed()))
        }
        Reply::Redirect(address) => {
            let mut response = whole(302, "text/plain", String::new());
            response.headers_mut().insert(LOCATION, address.parse().expect("an address"));
            Ok(response)
        }
        Reply::Cut => Err(Cut),
        Reply::CutShort(beginning) => {
            let frames = [
                Ok(Frame::data(Bytes::from_static(beginning.as_bytes()))),
                Err(std::io::Error::other("cut")),
            ];
            let body = BodyExt::boxed(StreamBody::new(stream::iter(frames)));
            Ok(Response::builder().header(CONTENT_LENGTH, 1 << 20).body(body).expect("a response"))
        }
        Reply::Hang => std::future::pending().await,
        Reply::Stream(stream) => Ok(switch_to_websocket(request, stream)),
    }
}

fn whole(status: u16, content_type: &str, text: String) -> Response<Body> {
    let body = Full::new(Bytes::from(text)).map_err(|never: Infallible| match never {}).boxed();
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type)
        .body(body)
        .expect("a response")
}

fn switch_to_websocket(mut request: hyper::Request<Incoming>, stream: Stream) -> Response<Body> {
    let accept = request
        .headers()
        .get(SEC_WEBSOCKET_KEY)
        .map(|key| derive_accept_key(key.as_bytes()))
        .expect("a websocket key");
    let upgrade = hyper::upgrade::on(&mut request);
    let protocol = stream.protocol();
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            stream.serve(TokioIo::new(upgraded)).await;
        }
    });
    let mut response = whole(StatusCode::SWITCHING_PROTOCOLS.as_u16(), "text/plain", String::new());
    let headers = [
        (CONNECTION, "Upgrade"),
        (UPGRADE, "websocket"),
        (SEC_WEBSOCKET_ACCEPT, &accept),
        (SEC_WEBSOCKET_PROTOCOL, protocol),
    ];
    response
        .headers_mut()
        .extend(headers.map(|(name, value)| (name, value.parse().expect("a header value"))));
    response
}

/// An error that makes hyper close the connection without a response.
#[derive(Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for Cut {}

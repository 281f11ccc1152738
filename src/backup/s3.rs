//! Lets the library for object storages use the HTTP client of this program.

use async_trait::async_trait;
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};

use tower_http::timeout::TimeoutBody;

use crate::cluster::http::{TIMEOUT, Transport, direct_transport};

#[derive(Debug)]
pub struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let transport = direct_transport().map_err(|error| object_store::Error::Generic {
            store: "S3",
            source: error.into_boxed_dyn_error(),
        })?;
        Ok(HttpClient::new(Service(transport)))
    }
}

#[derive(Debug)]
struct Service(Transport<HttpRequestBody>);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let timed_out = |error| HttpError::new(HttpErrorKind::Timeout, error);
        let response = tokio::time::timeout(TIMEOUT, self.0.request(request)).await;
        let response = response.map_err(timed_out)?.map_err(|error| {
            let kind = match error.is_connect() {
                true => HttpErrorKind::Connect,
                false => HttpErrorKind::Interrupted,
            };
            HttpError::new(kind, error)
        })?;
        let (head, body) = response.into_parts();
        let body = TimeoutBody::new(TIMEOUT, body);
        let body = body.map_err(|error| HttpError::new_boxed(HttpErrorKind::Interrupted, error));
        Ok(HttpResponse::from_parts(head, HttpResponseBody::new(body)))
    }
}

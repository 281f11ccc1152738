//! Lets the library for object storages use the HTTP client of this program.

use async_trait::async_trait;
use http_body_util::BodyExt;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use object_store::{ClientConfigKey, ClientOptions};

use tower_http::timeout::TimeoutBody;

use crate::cluster::http::{TIMEOUT, Transport, direct_transport};

#[derive(Debug)]
pub struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let transport = direct_transport().map_err(|error| object_store::Error::Generic {
            store: "S3",
            source: error.into_boxed_dyn_error(),
        })?;
        let allows_http = options.get_config_value(&ClientConfigKey::AllowHttp);
        let allows_http = allows_http.as_deref() == Some("true");
        Ok(HttpClient::new(Service { transport, allows_http }))
    }
}

#[derive(Debug)]
struct Service {
    transport: Transport<HttpRequestBody>,
    /// Whether data may travel unencrypted.
    allows_http: bool,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if request.uri().scheme_str() == Some("http") && !self.allows_http {
            let sentence = "the address of the object storage begins with http://, which does not encrypt; \
                set AWS_ALLOW_HTTP=true to allow it";
            return Err(HttpError::new_boxed(HttpErrorKind::Unknown, sentence.into()));
        }
        let timed_out = |error| HttpError::new(HttpErrorKind::Timeout, error);
        let response = tokio::time::timeout(TIMEOUT, self.transport.request(request)).await;
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

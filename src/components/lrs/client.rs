//! A client for the LRS: stores and reads statements, and checks the LRS's health.

use std::collections::BTreeMap;

use anyhow::Result;
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::cluster::http::{Account, HttpClient, Response};
use crate::error::Failure;
use crate::output::text;

use super::validation;

const XAPI_VERSION: HeaderName = HeaderName::from_static("x-experience-api-version");

pub struct Ralph {
    http: HttpClient,
    /// Path of the statements resource below the client's address.
    statements: &'static str,
}

/// The result of storing a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Accepted, with the number of statements that were new to the LRS.
    Stored { new: usize },
    /// Rejected as a whole. The same request gets the same response.
    Rejected {
        status: u16,
        reason: String,
        /// The reason for each invalid statement, by its index in the batch. Empty when the LRS names none.
        statements: BTreeMap<usize, String>,
    },
    /// Neither accepted nor rejected. Some statements may be stored. Sending the batch again is safe.
    Unclear { status: u16, reason: String },
}

/// Selects a page of statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// The first page of an xAPI query: its encoded parameters.
    Query(String),
    /// A later page: the path that `more` of the previous page gave.
    More(String),
}

impl Ralph {
    /// A client for the LRS of the stack, by the address of its Service.
    pub fn new(http: HttpClient, account: &Account) -> Result<Self> {
        Self::with_path(http, account, "/xAPI/statements")
    }

    /// A client for any LRS, by its xAPI endpoint.
    pub fn at(endpoint: HttpClient, account: &Account) -> Result<Self> {
        Self::with_path(endpoint, account, "/statements")
    }

    fn with_path(http: HttpClient, account: &Account, statements: &'static str) -> Result<Self> {
        let http = http
            .with_account(account)?
            .with_header(XAPI_VERSION, HeaderValue::from_static("1.0.3"));
        Ok(Self { http, statements })
    }

    pub fn address(&self) -> &str {
        self.http.base()
    }

    /// Requests the account as the LRS knows it.
    pub async fn whoami(&self) -> Result<Response> {
        self.http.get("/whoami").await
    }

    /// Requests the health of the LRS and its backend.
    pub async fn heartbeat(&self) -> Result<Response> {
        self.http.get("/__heartbeat__").await
    }

    /// Whether the LRS is healthy, so that a server error is due to the request. An LRS without a heartbeat is healthy
    /// when it responds to a query.
    ///
    /// # Errors
    /// When there is no response.
    pub async fn is_healthy(&self) -> Result<bool> {
        let heartbeat = self.heartbeat().await?;
        if heartbeat.status != StatusCode::NOT_FOUND {
            return Ok(heartbeat.status.is_success());
        }
        Ok(self.http.get(&format!("{}?limit=1", self.statements)).await?.status.is_success())
    }

    /// Reads a page of statements. Returns it with the cursor of the next page.
    ///
    /// # Errors
    /// When the LRS does not respond with a page.
    pub async fn page(&self, cursor: &Cursor) -> Result<(Vec<Box<RawValue>>, Option<Cursor>)> {
        #[derive(Deserialize)]
        struct Page {
            statements: Vec<Box<RawValue>>,
            more: Option<String>,
        }
        let path = match cursor {
            Cursor::Query(query) => format!("{}?{query}", self.statements),
            Cursor::More(path) => path.clone(),
        };
        let response = self.http.get(&path).await?;
        if !response.status.is_success() {
            let status = response.status;
            let reason = reason(&response);
            let failure = Failure::failed(format!(
                "the LRS responded with {} to a query: {reason}",
                status.as_u16()
            ));
            return Err(match status.is_server_error() {
                true => failure
                    .hint("run `kubectl lastack status`, which names statements that the LRS cannot return"),
                false => failure,
            }
            .into());
        }
        let page: Page = response.json()?;
        Ok((page.statements, page.more.filter(|more| !more.is_empty()).map(Cursor::More)))
    }

    /// Reads a statement by its id. Ralph returns it in a page, other LRSs return it alone. None: the LRS returned no
    /// statement.
    pub async fn statement(&self, id: Uuid) -> Result<Option<Value>> {
        let response = self.http.get(&format!("{}?statementId={id}", self.statements)).await?;
        if !response.status.is_success() {
            return Ok(None);
        }
        let found: Value = response.json()?;
        Ok(match &found["statements"] {
            Value::Array(page) => page.first().cloned(),
            _ => Some(found),
        })
    }

    /// Stores a JSON array of statements.
    ///
    /// # Errors
    /// When there is no response.
    pub async fn store(&self, batch: Bytes) -> Result<Verdict> {
        Ok(judge(&self.http.send(Method::POST, self.statements, batch).await?))
    }
}

fn judge(response: &Response) -> Verdict {
    let status = response.status.as_u16();
    match response.status {
        StatusCode::NO_CONTENT => Verdict::Stored { new: 0 },
        StatusCode::OK => match response.json::<Vec<serde::de::IgnoredAny>>() {
            Ok(ids) => Verdict::Stored { new: ids.len() },
            Err(error) => Verdict::Unclear { status, reason: format!("{error:#}") },
        },
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Verdict::Unclear { status, reason: reason(response) }
        }
        code if code.is_client_error() => {
            let (reason, statements) = reasons(response);
            Verdict::Rejected { status, reason, statements }
        }
        code if code.is_redirection() => {
            let location = response.headers.get(http::header::LOCATION);
            let location =
                location.and_then(|value| value.to_str().ok()).unwrap_or("another address");
            let reason = format!("redirected to {}", text::one_line(location));
            Verdict::Rejected { status, reason, statements: BTreeMap::new() }
        }
        _ => Verdict::Unclear { status, reason: reason(response) },
    }
}

/// The LRS's reason in one line, without the input that a validation error echoes.
fn reason(response: &Response) -> String {
    reasons(response).0
}

/// The reason for the whole request, and for each statement that the LRS names.
fn reasons(response: &Response) -> (String, BTreeMap<usize, String>) {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        detail: &'a RawValue,
    }
    let Ok(Body { detail }) = serde_json::from_slice(&response.body) else {
        return (response.excerpt(), BTreeMap::new());
    };
    if let Ok(detail) = serde_json::from_str::<String>(detail.get()) {
        return (text::one_line(&detail), BTreeMap::new());
    }
    let statements = validation::reasons(detail.get());
    let reason = match statements.first_key_value() {
        Some((_, reason)) => reason.clone(),
        None => validation::whole(detail.get()).unwrap_or_else(|| response.excerpt()),
    };
    (reason, statements)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &'static str) -> Response {
        Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: Default::default(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn response_of_each_kind_is_a_verdict() {
        assert_eq!(judge(&response(200, r#"["a","b"]"#)), Verdict::Stored { new: 2 });
        assert_eq!(judge(&response(204, "")), Verdict::Stored { new: 0 });
        assert!(matches!(
            judge(&response(409, r#"{"detail":"Differing statements already exist"}"#)),
            Verdict::Rejected { status: 409, .. }
        ));
        assert!(matches!(judge(&response(500, "oops")), Verdict::Unclear { status: 500, .. }));
        assert!(matches!(judge(&response(429, "")), Verdict::Unclear { .. }));
        assert!(matches!(judge(&response(200, "<html>a proxy's page")), Verdict::Unclear { .. }));
    }

    #[test]
    fn validation_error_names_each_statement_without_echo_of_batch() {
        let body = r#"{"detail":[{"type":"missing","loc":["body","list[LaxStatement]",3,"verb"],"msg":"Field required","input":{"secret":"x"}}]}"#;
        assert_eq!(
            judge(&response(422, body)),
            Verdict::Rejected {
                status: 422,
                reason: "verb: Field required".into(),
                statements: BTreeMap::from([(3, "verb: Field required".into())]),
            }
        );
    }
}

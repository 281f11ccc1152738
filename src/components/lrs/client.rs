//! The LRS: storing statements and asking whether it is well.

use std::collections::BTreeMap;

use anyhow::Result;
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::cluster::http::{Account, HttpClient, Response as Answer};
use crate::error::Failure;
use crate::output::text;

use super::validation;

const XAPI_VERSION: HeaderName = HeaderName::from_static("x-experience-api-version");

pub struct Ralph {
    http: HttpClient,
    /// Path of the statements resource below the client's address.
    statements: &'static str,
}

/// What the LRS made of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Accepted. The number of statements that were new to it.
    Stored { new: usize },
    /// Rejected as a whole. The same request gets the same response.
    Rejected {
        status: u16,
        reason: String,
        /// The reason for each statement at fault, by its index in the batch. Empty when the LRS names none.
        statements: BTreeMap<usize, String>,
    },
    /// Not decided: some of it may be stored. Sending the same again is safe.
    Unclear { status: u16, reason: String },
}

/// Where a page of statements is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The parameters of an xAPI query, encoded.
    Query(String),
    /// What the page before it said.
    More(String),
}

impl Ralph {
    /// The LRS of the stack, by the address of its Service.
    pub fn new(http: HttpClient, account: &Account) -> Result<Self> {
        Self::with_path(http, account, "/xAPI/statements")
    }

    /// Any LRS, by its xAPI endpoint.
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

    /// The name of the account as the LRS knows it; an error names the answer.
    pub async fn whoami(&self) -> Result<Answer> {
        self.http.get("/whoami").await
    }

    /// Asks the LRS whether it and its backend are well.
    pub async fn heartbeat(&self) -> Result<Answer> {
        self.http.get("/__heartbeat__").await
    }

    /// Whether the LRS is well, so that a server error is due to the request. Where there is no heartbeat, a query
    /// decides.
    ///
    /// # Errors
    /// When there is no response.
    pub async fn is_well(&self) -> Result<bool> {
        let heartbeat = self.heartbeat().await?;
        if heartbeat.status != StatusCode::NOT_FOUND {
            return Ok(heartbeat.status.is_success());
        }
        Ok(self.http.get(&format!("{}?limit=1", self.statements)).await?.status.is_success())
    }

    /// A page of the statements that a query selects, and where the next one is.
    pub async fn page(&self, place: &Place) -> Result<(Vec<Box<RawValue>>, Option<Place>)> {
        #[derive(Deserialize)]
        struct Page {
            statements: Vec<Box<RawValue>>,
            more: Option<String>,
        }
        let path = match place {
            Place::Query(query) => format!("{}?{query}", self.statements),
            Place::More(path) => path.clone(),
        };
        let answer = self.http.get(&path).await?;
        if !answer.status.is_success() {
            let status = answer.status;
            let reason = reason(&answer);
            let failure = Failure::failed(format!(
                "the LRS answered {} to a query: {reason}",
                status.as_u16()
            ));
            return Err(match status.is_server_error() {
                true => failure
                    .hint("`kubectl lastack status` names statements that the LRS cannot return"),
                false => failure,
            }
            .into());
        }
        let page: Page = answer.json()?;
        Ok((page.statements, page.more.filter(|more| !more.is_empty()).map(Place::More)))
    }

    /// The statement of this id, which Ralph gives as a page and others as it is.
    pub async fn statement(&self, id: Uuid) -> Result<Option<Value>> {
        let answer = self.http.get(&format!("{}?statementId={id}", self.statements)).await?;
        if !answer.status.is_success() {
            return Ok(None);
        }
        let found: Value = answer.json()?;
        Ok(match &found["statements"] {
            Value::Array(page) => page.first().cloned(),
            _ => Some(found),
        })
    }

    /// Stores a JSON array of statements.
    pub async fn store(&self, batch: Bytes) -> Result<Verdict> {
        Ok(judge(&self.http.send(Method::POST, self.statements, batch).await?))
    }
}

fn judge(answer: &Answer) -> Verdict {
    let status = answer.status.as_u16();
    match answer.status {
        StatusCode::NO_CONTENT => Verdict::Stored { new: 0 },
        StatusCode::OK => match answer.json::<Vec<serde::de::IgnoredAny>>() {
            Ok(ids) => Verdict::Stored { new: ids.len() },
            Err(error) => Verdict::Unclear { status, reason: format!("{error:#}") },
        },
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Verdict::Unclear { status, reason: reason(answer) }
        }
        code if code.is_client_error() => {
            let (reason, statements) = reasons(answer);
            Verdict::Rejected { status, reason, statements }
        }
        code if code.is_redirection() => {
            let place = answer.headers.get(http::header::LOCATION);
            let place = place.and_then(|place| place.to_str().ok()).unwrap_or("another address");
            let reason = format!("redirected to {}", text::one_line(place));
            Verdict::Rejected { status, reason, statements: BTreeMap::new() }
        }
        _ => Verdict::Unclear { status, reason: reason(answer) },
    }
}

/// The LRS's reason in one line. A validation error echoes the whole input, which is left out.
fn reason(answer: &Answer) -> String {
    reasons(answer).0
}

/// The reason for the whole request, and for each statement that the LRS names.
fn reasons(answer: &Answer) -> (String, BTreeMap<usize, String>) {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        detail: &'a RawValue,
    }
    let Ok(Body { detail }) = serde_json::from_slice(&answer.body) else {
        return (answer.excerpt(), BTreeMap::new());
    };
    if let Ok(detail) = serde_json::from_str::<String>(detail.get()) {
        return (text::one_line(&detail), BTreeMap::new());
    }
    let statements = validation::reasons(detail.get());
    let reason = match statements.first_key_value() {
        Some((_, reason)) => reason.clone(),
        None => validation::whole(detail.get()).unwrap_or_else(|| answer.excerpt()),
    };
    (reason, statements)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: Default::default(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn each_answer_of_the_lrs_is_read_for_what_it_means() {
        assert_eq!(judge(&answer(200, r#"["a","b"]"#)), Verdict::Stored { new: 2 });
        assert_eq!(judge(&answer(204, "")), Verdict::Stored { new: 0 });
        assert!(matches!(
            judge(&answer(409, r#"{"detail":"Differing statements already exist"}"#)),
            Verdict::Rejected { status: 409, .. }
        ));
        assert!(matches!(judge(&answer(500, "oops")), Verdict::Unclear { status: 500, .. }));
        assert!(matches!(judge(&answer(429, "")), Verdict::Unclear { .. }));
        assert!(matches!(judge(&answer(200, "<html>a proxy's page")), Verdict::Unclear { .. }));
    }

    #[test]
    fn validation_error_names_each_statement_without_the_echo_of_the_batch() {
        let body = r#"{"detail":[{"type":"missing","loc":["body","list[LaxStatement]",3,"verb"],"msg":"Field required","input":{"secret":"x"}}]}"#;
        assert_eq!(
            judge(&answer(422, body)),
            Verdict::Rejected {
                status: 422,
                reason: "verb: Field required".into(),
                statements: BTreeMap::from([(3, "verb: Field required".into())]),
            }
        );
    }
}

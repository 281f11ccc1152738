//! The LRS: storing statements and asking whether it is well.

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

const XAPI_VERSION: HeaderName = HeaderName::from_static("x-experience-api-version");

pub struct Ralph {
    http: HttpClient,
    /// Path of the statements resource below the client's address.
    statements: &'static str,
}

/// What the LRS made of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Taken. The number of statements that were new to it.
    Stored { new: usize },
    /// Refused as a whole; sending the same again gives the same answer.
    Refused { status: u16, reason: String },
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
            let status = answer.status.as_u16();
            return Err(Failure::failed(format!(
                "the LRS answered {status} to a query: {}",
                reason(&answer)
            ))
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
        code if code.is_client_error() => Verdict::Refused { status, reason: reason(answer) },
        _ => Verdict::Unclear { status, reason: reason(answer) },
    }
}

/// The LRS's reason in one line. A validation error echoes the whole input, which is left out.
fn reason(answer: &Answer) -> String {
    let Ok(body) = answer.json::<Value>() else { return answer.excerpt() };
    match &body["detail"] {
        Value::String(detail) => detail.clone(),
        Value::Array(errors) => errors.first().map_or_else(String::new, |error| {
            let place: Vec<String> = error["loc"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_string))
                .collect();
            format!("{} at {}", error["msg"].as_str().unwrap_or("invalid"), place.join("."))
        }),
        _ => answer.excerpt(),
    }
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
            Verdict::Refused { status: 409, .. }
        ));
        assert!(matches!(judge(&answer(500, "oops")), Verdict::Unclear { status: 500, .. }));
        assert!(matches!(judge(&answer(429, "")), Verdict::Unclear { .. }));
        assert!(matches!(judge(&answer(200, "<html>a proxy's page")), Verdict::Unclear { .. }));
    }

    #[test]
    fn a_validation_error_is_shown_without_the_echo_of_the_batch() {
        let body = r#"{"detail":[{"type":"missing","loc":["body",3,"verb"],"msg":"Field required","input":{"secret":"x"}}]}"#;
        assert_eq!(
            judge(&answer(422, body)),
            Verdict::Refused { status: 422, reason: "Field required at body.3.verb".into() }
        );
    }
}

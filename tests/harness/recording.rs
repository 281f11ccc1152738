//! Recordings, and their comparison with the responses of a stand-in.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::comparison::{Versions, difference, neutral, not_in_shape};
use crate::support::server::{Reply, Request};

#[derive(Deserialize)]
pub struct Recording {
    /// JSON pointers to values that the stand-in does not model, in a body and in each item of a list.
    unmodelled: Vec<String>,
    pub exchanges: Vec<Exchange>,
}

#[derive(Deserialize)]
pub struct Exchange {
    pub request: Asked,
    #[serde(default)]
    compare: Compare,
    /// JSON pointers to values that must be equal where only the shape is compared.
    #[serde(default)]
    equal: Vec<String>,
    pub response: Value,
}

#[derive(Deserialize, Clone)]
pub struct Asked {
    #[serde(default)]
    method: String,
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    content_type: Option<String>,
    accept: Option<String>,
    /// `none` or `wrong`; otherwise the account of the stand-in.
    account: Option<String>,
    body: Option<Value>,
    #[serde(default)]
    pub command: Vec<String>,
    #[serde(default)]
    pub input: String,
}

#[derive(Deserialize, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Compare {
    /// Status and body are equal, apart from values that differ between runs.
    #[default]
    Equal,
    /// The real server returns every value of the stand-in with the same type.
    Shape,
    Status,
}

/// The status and the body of a response, or the exit code and the output of a command.
pub type Response = (u64, Value);

impl Recording {
    pub fn load(name: &str) -> Self {
        let path = format!("{}/tests/fixtures/recordings/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let recording: Self =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(!recording.exchanges.is_empty(), "{path} should hold exchanges");
        recording
    }

    /// Sends every request to a stand-in and compares the responses.
    pub fn replay(&self, authorization: &str, ask: impl Fn(&Request) -> Reply) {
        let mut bodies: Vec<Value> = Vec::new();
        let mut versions = Versions::default();
        for (index, exchange) in self.exchanges.iter().enumerate() {
            let request = exchange.request.build(&bodies, authorization);
            let (status, body) = response(ask(&request));
            self.compare(index, &request.to_string(), exchange, (status, &body));
            versions.compare(index, &body, &exchange.response["body"]);
            bodies.push(body);
        }
    }

    /// The same for a program: compares its exit code and its JSON output.
    pub fn replay_commands(&self, run: impl Fn(&Asked) -> (i32, String, String)) {
        for (index, exchange) in self.exchanges.iter().enumerate() {
            let real = &exchange.response;
            let (code, stdout, stderr) = run(&exchange.request);
            let line = exchange.request.command.join(" ");
            assert_eq!(json!(code), real["code"], "{index}: exit code of `{line}`: {stderr}");
            if code != 0 {
                assert_eq!(json!(stderr), real["stderr"], "{index}: stderr of `{line}`");
            }
            let printed = json_in(real["stdout"].as_str().expect("stdout"));
            let wanted = Exchange {
                request: exchange.request.clone(),
                compare: exchange.compare,
                equal: exchange.equal.clone(),
                response: json!({"status": code, "body": printed}),
            };
            if !printed.is_null() {
                self.compare(
                    index,
                    &line,
                    &wanted,
                    (code.try_into().unwrap_or(1), &json_in(&stdout)),
                );
            }
        }
    }

    fn compare(
        &self,
        index: usize,
        asked: &str,
        exchange: &Exchange,
        (status, body): (u64, &Value),
    ) {
        let real = &exchange.response;
        assert_eq!(
            json!(status),
            real["status"],
            "exchange {index}, {asked}: the status should be that of the real server\nreal: {real}\nstand-in: {body}"
        );
        match exchange.compare {
            Compare::Status => {}
            Compare::Shape => {
                if let Some(difference) = not_in_shape("", body, &real["body"]) {
                    panic!(
                        "exchange {index}, {asked}: {difference}\nreal: {}\nstand-in: {body}",
                        real["body"]
                    );
                }
                for pointer in &exchange.equal {
                    assert_eq!(
                        body.pointer(pointer),
                        real["body"].pointer(pointer),
                        "exchange {index}, {asked}: {pointer}"
                    );
                }
            }
            Compare::Equal => {
                let (ours, real) = (self.comparable(body), self.comparable(&real["body"]));
                if let Some(difference) = difference("", &ours, &real) {
                    panic!(
                        "exchange {index}, {asked}: {difference}\nreal: {real}\nstand-in: {ours}"
                    );
                }
            }
        }
    }

    /// A body without the values that differ between runs or that the stand-in does not model.
    fn comparable(&self, body: &Value) -> Value {
        let mut body = body.clone();
        for pointer in &self.unmodelled {
            remove_at(&mut body, pointer);
            for item in body.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
                remove_at(item, pointer);
            }
        }
        neutral(&mut body);
        body
    }
}

impl Asked {
    fn build(&self, bodies: &[Value], authorization: &str) -> Request {
        let target = filled(&self.path, bodies);
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut headers = HeaderMap::new();
        let mut set = |name, value: &str| {
            headers.insert(name, HeaderValue::from_str(value).expect("a header"));
        };
        set(USER_AGENT, "recorder/1");
        set(CONTENT_TYPE, self.content_type.as_deref().unwrap_or("application/json"));
        set(ACCEPT, self.accept.as_deref().unwrap_or("application/json"));
        match self.account.as_deref() {
            None => set(AUTHORIZATION, authorization),
            Some("wrong") => set(AUTHORIZATION, "Basic d3Jvbmc6d3Jvbmc="),
            Some(_) => {}
        }
        let body = self.body.as_ref().map(|body| filled(&body.to_string(), bodies));
        Request {
            method: self.method.parse::<Method>().expect("a method"),
            path: path.into(),
            query: query.into(),
            headers,
            body: body.unwrap_or_default().into(),
        }
    }
}

/// Replaces references: `{{2:/metadata/uid}}` is a value of the body with that index, `{{env:NAME}}` a secret.
fn filled(text: &str, bodies: &[Value]) -> String {
    let mut parts = text.split("{{");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (reference, rest) = part.split_once("}}").expect("the end of a reference");
        let (index, pointer) = reference.split_once(':').expect("a reference");
        whole += &match index.parse::<usize>() {
            Err(_) => "guessed".to_owned(),
            Ok(index) => match bodies[index].pointer(pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None => panic!("{} should have {pointer}", bodies[index]),
            },
        };
        whole += rest;
    }
    whole
}

fn response(reply: Reply) -> Response {
    match reply {
        Reply::Json(status, body) => (status.into(), body),
        Reply::Text(status, text) if text.is_empty() => (status.into(), Value::Null),
        Reply::Text(status, text) => (status.into(), Value::String(text)),
        other => panic!("a recording cannot hold this response: {other:?}"),
    }
}

/// The JSON document in the last line of the output.
fn json_in(stdout: &str) -> Value {
    let last = stdout.trim_end().lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or(Value::Null)
}

fn remove_at(body: &mut Value, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').expect("a JSON pointer");
    if let Some(fields) = body.pointer_mut(parent).and_then(Value::as_object_mut) {
        fields.remove(&key.replace("~1", "/"));
    }
}

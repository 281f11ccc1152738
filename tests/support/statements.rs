//! Statements for the tests, and their file formats.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

/// The id of the statement with this number.
pub fn id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// A minimal xAPI statement with a fixed time.
pub fn statement(number: usize) -> Value {
    json!({
        "id": id(number),
        "timestamp": "2026-03-02T08:00:00.000Z",
        "actor": {"mbox": format!("mailto:learner-{number}@example.org")},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced"},
        "object": {"id": "https://example.org/course"},
    })
}

pub fn statements(count: usize) -> Vec<Value> {
    (0..count).map(statement).collect()
}

pub fn array(statements: &[Value]) -> String {
    Value::from(statements).to_string()
}

pub fn lines(statements: &[Value]) -> String {
    statements.iter().map(|statement| format!("{statement}\n")).collect()
}

pub fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("a write to memory");
    encoder.finish().expect("a write to memory")
}

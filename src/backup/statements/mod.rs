//! Statements: copied from Elasticsearch into compressed files with one statement per line, and back.

mod export;
mod import;

pub use export::export;
pub use import::import;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A statement whose document has another id. Other statements are stored as they are.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "_id", borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "_source", borrow)]
    source: &'a RawValue,
}

/// The start of the line of an [`Envelope`]. No LRS stores a statement with this key.
const ENVELOPE: &[u8] = b"{\"_id\":";

/// The id of a statement. None: it has none, or it is not text.
fn id_of(statement: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Statement<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
    }
    serde_json::from_slice::<Statement<'_>>(statement).ok().map(|statement| statement.id)
}

/// Appends the line of a document.
fn append(lines: &mut Vec<u8>, id: &str, source: &str) {
    match id_of(source.as_bytes()) {
        Some(own) if own == id => lines.extend_from_slice(source.as_bytes()),
        _ => {
            lines.extend_from_slice(ENVELOPE);
            lines.extend_from_slice(serde_json::Value::from(id).to_string().as_bytes());
            lines.extend_from_slice(b",\"_source\":");
            lines.extend_from_slice(source.as_bytes());
            lines.push(b'}');
        }
    }
    lines.push(b'\n');
}

/// The id and the content of a document, from its line. None: the line is no document.
fn parse(line: &[u8]) -> Option<(Cow<'_, str>, &[u8])> {
    if line.starts_with(ENVELOPE) {
        let Envelope { id, source } = serde_json::from_slice(line).ok()?;
        return Some((id, source.get().as_bytes()));
    }
    id_of(line).map(|id| (id, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_is_read_back_with_its_id() {
        let own = r#"{"id":"a","verb":{"id":"v"}}"#;
        let foreign = r#"{"id":"b","verb":{"id":"v"}}"#;
        let without = r#"{"verb":1}"#;
        let mut lines = Vec::new();
        for (id, source) in [("a", own), ("quo\"te", foreign), ("c", without)] {
            append(&mut lines, id, source);
        }
        let found: Vec<_> = lines.split(|byte| *byte == b'\n').filter_map(parse).collect();
        let found: Vec<(&str, &[u8])> =
            found.iter().map(|(id, source)| (id.as_ref(), *source)).collect();
        let wanted = [("a", own), ("quo\"te", foreign), ("c", without)];
        assert_eq!(found, wanted.map(|(id, source)| (id, source.as_bytes())));
        assert!(lines.starts_with(own.as_bytes()), "a statement is stored as it is");
    }
}

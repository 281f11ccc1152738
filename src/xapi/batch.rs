//! A batch: one JSON array of statements for a request, with an entry for each statement.
//!
//! A batch is a reusable buffer, so that memory does not depend on the number of statements.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use uuid::Uuid;

use super::content::Content;

/// Fills batches: a [`Reader`](super::reader::Reader) of files, or a generator of statements.
pub trait Source {
    /// A fault of the input. A generator has none.
    type Error: fmt::Display + fmt::Debug;

    /// Replaces the content of the batch with the next statements. False: the source has no more.
    ///
    /// # Errors
    /// A fault of the input. The next call continues after it.
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, Self::Error>;
}

/// A JSON array of statements, and entries in the same order.
#[derive(Debug)]
pub struct Batch {
    body: Vec<u8>,
    entries: Vec<Entry>,
    sources: Vec<Arc<str>>,
    variants: Vec<Variant>,
}

/// A statement with the id of an earlier statement of the run and different bytes. The batch does not contain it. It is
/// compared with the stored statement after the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    pub id: Uuid,
    pub content: Content,
    /// Its origin, such as `data/x.json.gz: statement 17 (byte 20113)`.
    pub origin: String,
}

/// The properties of one statement of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: Uuid,
    /// The bytes of the statement in [`Batch::body`], without the comma after it.
    pub range: Range<u32>,
    pub added: Added,
    source: u32,
    position: Position,
}

/// The keys that were added to a statement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Added {
    /// An id derived from its bytes, so that equal statements have equal ids.
    pub id: bool,
    /// The time of the run, which differs in a second run.
    pub timestamp: bool,
}

/// The position of a statement in its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The number of the statement, from 1.
    pub statement: u64,
    /// The offset of its first byte in the uncompressed input. None for generated statements.
    pub byte: Option<u64>,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement {}", self.statement)?;
        match self.byte {
            Some(byte) => write!(f, " (byte {byte})"),
            None => Ok(()),
        }
    }
}

impl Entry {
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether the statement is from an input. The content of a generated statement is known from its id, and valid.
    pub fn is_from_input(&self) -> bool {
        self.position.byte.is_some()
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            body: b"[]".to_vec(),
            entries: Vec::new(),
            sources: Vec::new(),
            variants: Vec::new(),
        }
    }
}

impl Batch {
    pub fn new() -> Self {
        Self::default()
    }

    /// Empties the batch without releasing its memory.
    pub fn clear(&mut self) {
        self.body.clear();
        self.body.extend_from_slice(b"[]");
        self.entries.clear();
        self.sources.clear();
        self.variants.clear();
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The whole batch as one JSON array.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The bytes of one statement.
    pub fn statement(&self, index: usize) -> &[u8] {
        let Range { start, end } = self.entries[index].range;
        &self.body[start as usize..end as usize]
    }

    /// A JSON array of some statements, to isolate those that a server rejects.
    pub fn array(&self, entries: &[usize]) -> Vec<u8> {
        let mut array = b"[".to_vec();
        for &index in entries {
            if array.len() > 1 {
                array.push(b',');
            }
            array.extend_from_slice(self.statement(index));
        }
        array.push(b']');
        array
    }

    /// The content of one statement. A timestamp that was added is not part of it.
    pub fn content(&self, index: usize) -> Content {
        let content = Content::of(self.statement(index));
        if self.entries[index].added.timestamp { content.without_time() } else { content }
    }

    /// The statements that were omitted because an earlier statement of the run has the same id and different bytes.
    pub fn variants(&self) -> &[Variant] {
        &self.variants
    }

    /// The origin of a statement, such as `data/x.json.gz: statement 17 (byte 20113)`.
    pub fn origin(&self, index: usize) -> String {
        let entry = &self.entries[index];
        format!("{}: {}", self.sources[entry.source as usize], entry.position)
    }

    /// Sets the name of the source for the statements that follow.
    pub fn begin_source(&mut self, name: &Arc<str>) {
        if self.sources.last().is_none_or(|last| !Arc::ptr_eq(last, name)) {
            self.sources.push(Arc::clone(name));
        }
    }

    /// Appends the statement that `write` writes. Call [`Batch::begin_source`] first.
    pub fn push(
        &mut self,
        id: Uuid,
        position: Position,
        added: Added,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.body.pop();
        if !self.entries.is_empty() {
            self.body.push(b',');
        }
        let start = self.offset();
        write(&mut self.body);
        let range = start..self.offset();
        self.body.push(b']');
        let source = self.sources.len() as u32 - 1;
        self.entries.push(Entry { id, range, added, source, position });
    }

    /// Removes the last statement.
    pub(super) fn pop(&mut self) {
        self.pop_into(&mut Vec::new());
    }

    /// Removes the last statement and records it as a variant.
    pub(super) fn pop_variant(&mut self) {
        let Some(index) = self.entries.len().checked_sub(1) else { return };
        let (id, content) = (self.entries[index].id, self.content(index));
        self.variants.push(Variant { id, content, origin: self.origin(index) });
        self.pop();
    }

    /// Removes the last statement and copies its bytes to `bytes`.
    pub(super) fn pop_into(&mut self, bytes: &mut Vec<u8>) -> Option<Entry> {
        let entry = self.entries.pop()?;
        let start = entry.range.start as usize;
        bytes.clear();
        bytes.extend_from_slice(&self.body[start..entry.range.end as usize]);
        // a comma precedes the statement, or the bracket when it is the only one
        self.body.truncate(if self.entries.is_empty() { start } else { start - 1 });
        self.body.push(b']');
        Some(entry)
    }

    /// Offsets fit into 32 bits, because sources limit a batch to far less than 4 GiB.
    fn offset(&self) -> u32 {
        u32::try_from(self.body.len()).expect("a batch stays below 4 GiB")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(statements: &[&str]) -> Batch {
        let mut batch = Batch::new();
        batch.begin_source(&Arc::from("input.json"));
        for (index, statement) in statements.iter().enumerate() {
            let position = Position { statement: index as u64 + 1, byte: Some(7) };
            batch.push(Uuid::from_u128(index as u128), position, Added::default(), |body| {
                body.extend_from_slice(statement.as_bytes())
            });
        }
        batch
    }

    #[test]
    fn body_is_always_an_array() {
        assert_eq!(batch(&[]).body(), b"[]");
        assert_eq!(batch(&["{}"]).body(), b"[{}]");
        assert_eq!(batch(&["{}", "{\"a\":1}"]).body(), b"[{},{\"a\":1}]");
    }

    #[test]
    fn array_contains_only_selected_statements() {
        let batch = batch(&["{}", "{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(batch.array(&[1, 2]), b"[{\"a\":1},{\"b\":2}]");
        assert_eq!(batch.array(&[0]), b"[{}]");
        assert_eq!(batch.array(&[]), b"[]");
        assert_eq!(batch.array(&[0, 1, 2]), batch.body());
        assert_eq!(batch.array(&[0, 2]), b"[{},{\"b\":2}]");
        assert_eq!(batch.statement(1), b"{\"a\":1}");
    }

    #[test]
    fn popped_statement_is_removed_from_body() {
        let mut batch = batch(&["{}", "{\"a\":1}"]);
        let mut bytes = Vec::new();
        assert_eq!(batch.pop_into(&mut bytes).map(|entry| entry.id), Some(Uuid::from_u128(1)));
        assert_eq!((bytes.as_slice(), batch.body()), (&b"{\"a\":1}"[..], &b"[{}]"[..]));
        assert_eq!(batch.pop_into(&mut bytes).map(|entry| entry.id), Some(Uuid::nil()));
        assert_eq!((bytes.as_slice(), batch.body()), (&b"{}"[..], &b"[]"[..]));
        assert_eq!(batch.pop_into(&mut bytes), None);
    }

    #[test]
    fn origin_names_source_and_position() {
        let mut batch = batch(&["{}"]);
        batch.begin_source(&Arc::from("generated"));
        batch.push(Uuid::nil(), Position { statement: 3, byte: None }, Added::default(), |body| {
            body.extend_from_slice(b"{}")
        });
        assert_eq!(batch.origin(0), "input.json: statement 1 (byte 7)");
        assert_eq!(batch.origin(1), "generated: statement 3");
    }
}

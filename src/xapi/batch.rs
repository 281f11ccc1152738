//! A batch: one JSON array ready to POST, and what is known of each statement in it.
//!
//! A batch is a buffer to be filled again and again, so a run of any length needs the memory of one batch.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use uuid::Uuid;

use super::content::Content;

/// What fills batches: a [`Reader`](super::reader::Reader) of files, or a generator of statements.
pub trait Source {
    /// What can be wrong with a statement. A source that makes its statements has no faults.
    type Error: fmt::Display + fmt::Debug;

    /// Replaces the batch's content by the next statements. False: there are no more.
    ///
    /// # Errors
    /// Names what was passed over; the next call goes on behind it.
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, Self::Error>;
}

/// A JSON array of statements and an entry for each of them, in the same order.
#[derive(Debug)]
pub struct Batch {
    body: Vec<u8>,
    entries: Vec<Entry>,
    sources: Vec<Arc<str>>,
    conflicts: Vec<Conflict>,
}

/// A statement with the id of an earlier one of the run and other content. It is not in the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub id: Uuid,
    /// Where it stands, such as `data/x.json.gz: statement 17 (byte 20113)`.
    pub place: String,
}

/// What is known of one statement of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: Uuid,
    /// Where the statement's bytes are in [`Batch::body`], without the comma that follows.
    pub range: Range<u32>,
    pub added: Added,
    /// What it says, to compare with what is stored. Generated statements have none: their ids are enough.
    pub content: Option<Content>,
    source: u32,
    position: Position,
}

/// What a statement came without and was given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Added {
    /// An id made from its bytes: no other statement has it.
    pub id: bool,
    /// The time of the run, so a second run sends another one.
    pub timestamp: bool,
}

/// Where a statement stands in what it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Number of the statement, from 1.
    pub statement: u64,
    /// Offset of its first byte in the uncompressed input; generated statements have none.
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
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            body: b"[]".to_vec(),
            entries: Vec::new(),
            sources: Vec::new(),
            conflicts: Vec::new(),
        }
    }
}

impl Batch {
    pub fn new() -> Self {
        Self::default()
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.body.clear();
        self.body.extend_from_slice(b"[]");
        self.entries.clear();
        self.sources.clear();
        self.conflicts.clear();
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

    /// The JSON array of some statements, to find out which of them a server rejects.
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

    /// The statements that were left out because an earlier one of the run has their id and says something else.
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// Says in words where a statement came from: `data/x.json.gz: statement 17 (byte 20113)`.
    pub fn place(&self, index: usize) -> String {
        let entry = &self.entries[index];
        format!("{}: {}", self.sources[entry.source as usize], entry.position)
    }

    /// The statements pushed from now on come from the source of this name.
    pub fn begin_source(&mut self, name: &Arc<str>) {
        if self.sources.last().is_none_or(|last| !Arc::ptr_eq(last, name)) {
            self.sources.push(Arc::clone(name));
        }
    }

    /// Appends the statement that `write` writes. [`Batch::begin_source`] comes first.
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
        self.entries.push(Entry { id, range, added, content: None, source, position });
    }

    /// Sets what the last statement says.
    pub(super) fn set_content(&mut self, content: Content) {
        if let Some(entry) = self.entries.last_mut() {
            entry.content = Some(content);
        }
    }

    /// Deletes the last statement.
    pub(super) fn pop(&mut self) {
        self.pop_into(&mut Vec::new());
    }

    /// Deletes the last statement and names it as a conflict.
    pub(super) fn pop_conflict(&mut self) {
        let Some(last) = self.entries.last() else { return };
        let conflict = Conflict { id: last.id, place: self.place(self.entries.len() - 1) };
        self.pop();
        self.conflicts.push(conflict);
    }

    /// Takes the last statement out again, its bytes into `bytes`.
    pub(super) fn pop_into(&mut self, bytes: &mut Vec<u8>) -> Option<Entry> {
        let entry = self.entries.pop()?;
        let start = entry.range.start as usize;
        bytes.clear();
        bytes.extend_from_slice(&self.body[start..entry.range.end as usize]);
        // Before the statement stands the comma, or the bracket when it was the only one.
        self.body.truncate(if self.entries.is_empty() { start } else { start - 1 });
        self.body.push(b']');
        Some(entry)
    }

    /// Offsets fit in 32 bits because a batch is capped far below 4 GiB by whoever fills it.
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
    fn the_body_is_an_array_at_any_time() {
        assert_eq!(batch(&[]).body(), b"[]");
        assert_eq!(batch(&["{}"]).body(), b"[{}]");
        assert_eq!(batch(&["{}", "{\"a\":1}"]).body(), b"[{},{\"a\":1}]");
    }

    #[test]
    fn some_entries_are_an_array_of_their_own() {
        let batch = batch(&["{}", "{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(batch.array(&[1, 2]), b"[{\"a\":1},{\"b\":2}]");
        assert_eq!(batch.array(&[0]), b"[{}]");
        assert_eq!(batch.array(&[]), b"[]");
        assert_eq!(batch.array(&[0, 1, 2]), batch.body());
        assert_eq!(batch.array(&[0, 2]), b"[{},{\"b\":2}]");
        assert_eq!(batch.statement(1), b"{\"a\":1}");
    }

    #[test]
    fn a_statement_can_be_taken_out_again() {
        let mut batch = batch(&["{}", "{\"a\":1}"]);
        let mut bytes = Vec::new();
        assert_eq!(batch.pop_into(&mut bytes).map(|entry| entry.id), Some(Uuid::from_u128(1)));
        assert_eq!((bytes.as_slice(), batch.body()), (&b"{\"a\":1}"[..], &b"[{}]"[..]));
        assert_eq!(batch.pop_into(&mut bytes).map(|entry| entry.id), Some(Uuid::nil()));
        assert_eq!((bytes.as_slice(), batch.body()), (&b"{}"[..], &b"[]"[..]));
        assert_eq!(batch.pop_into(&mut bytes), None);
    }

    #[test]
    fn a_place_names_the_source_and_the_statement() {
        let mut batch = batch(&["{}"]);
        batch.begin_source(&Arc::from("generated"));
        batch.push(Uuid::nil(), Position { statement: 3, byte: None }, Added::default(), |body| {
            body.extend_from_slice(b"{}")
        });
        assert_eq!(batch.place(0), "input.json: statement 1 (byte 7)");
        assert_eq!(batch.place(1), "generated: statement 3");
    }
}

//! Reads statements from files, directories and standard input into batches.
//!
//! An input contains JSON arrays, objects, or one object per line, in any sequence, plain or compressed with gzip. Memory
//! is constant. A statement without `id` gets an id derived from its bytes, so that a second run sends the same id. A
//! statement without `timestamp` gets the time of the run. Only the first statement with an id is in a batch. Repetitions
//! with the same bytes are omitted, and repetitions with different bytes are variants.

mod error;
mod head;
mod input;
mod seen;
mod splitter;
mod window;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::vec;

use jiff::Timestamp;
use uuid::Uuid;

pub use error::{Problem, ReadError};
pub use input::{EXPECTED_RESULTS_FILE, Input, Inputs, Skipped};

use super::batch::{Added, Batch, Entry, Source};
use super::content::hash_of_bytes;
use seen::{Occurrence, SeenIds};
use splitter::{Splitter, Statement};

/// The limits of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub statements: usize,
    /// The size of the body in bytes. A larger statement is sent in its own batch.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { statements: 1000, bytes: 4 << 20 }
    }
}

/// Fills batches from a list of inputs.
pub struct Reader {
    inputs: vec::IntoIter<Input>,
    current: Option<Splitter>,
    found_in_current: bool,
    limits: Limits,
    run_time: String,
    seen: SeenIds,
    held: Option<Held>,
    /// The bytes of `held`, in a reused buffer.
    held_bytes: Vec<u8>,
    /// A fault to report after the statements before it.
    fault: Option<ReadError>,
}

/// A statement for the next batch, because it exceeds the limit of the previous one.
struct Held {
    entry: Entry,
    source_name: Arc<str>,
}

impl Reader {
    /// `run_time` is the timestamp of statements that have none.
    pub fn new(inputs: Vec<Input>, limits: Limits, run_time: Timestamp) -> Self {
        Self {
            inputs: inputs.into_iter(),
            current: None,
            found_in_current: false,
            limits,
            run_time: format!("{run_time:.3}"),
            seen: SeenIds::default(),
            held: None,
            held_bytes: Vec::new(),
            fault: None,
        }
    }

    /// Opens the next input unless one is open. False: there are no more inputs.
    fn open(&mut self) -> Result<bool, ReadError> {
        if self.current.is_none() {
            let Some(input) = self.inputs.next() else { return Ok(false) };
            self.current = Some(Splitter::new(input.open()?));
            self.found_in_current = false;
        }
        Ok(true)
    }

    /// Adds the next statement to the batch. False: the batch is full, or there are no more statements.
    fn add(&mut self, batch: &mut Batch) -> Result<bool, ReadError> {
        while self.open()? {
            let Some(splitter) = &mut self.current else { break };
            let name = Arc::clone(splitter.name());
            let found = splitter.next();
            self.found_in_current |= !matches!(found, Ok(None));
            if let Some(found) = found? {
                push(batch, &name, &found, &self.run_time);
                return Ok(self.keep_or_hold(batch, name));
            }
            self.current = None;
            if !self.found_in_current {
                return Err(ReadError {
                    source_name: name,
                    position: None,
                    problem: Problem::Empty,
                    unread: 0,
                });
            }
        }
        Ok(false)
    }

    /// Examines the last statement. Removes a repetition or a variant, and holds a statement that exceeds the limit for the
    /// next batch. False: the batch is full.
    fn keep_or_hold(&mut self, batch: &mut Batch, source_name: Arc<str>) -> bool {
        let last = batch.len() - 1;
        match self.seen.record(batch.entries()[last].id, hash_of_bytes(batch.statement(last))) {
            Occurrence::Repeated => batch.pop(),
            Occurrence::Variant => batch.pop_variant(),
            Occurrence::New if last > 0 && batch.body().len() > self.limits.bytes => {
                self.held =
                    batch.pop_into(&mut self.held_bytes).map(|entry| Held { entry, source_name });
                return false;
            }
            Occurrence::New => {}
        }
        true
    }

    fn release_held(&mut self, batch: &mut Batch) {
        if let Some(Held { entry, source_name }) = self.held.take() {
            batch.begin_source(&source_name);
            batch.push(entry.id, entry.position(), entry.added, |body| {
                body.extend_from_slice(&self.held_bytes)
            });
        }
    }
}

impl Source for Reader {
    type Error = ReadError;

    fn fill(&mut self, batch: &mut Batch) -> Result<bool, ReadError> {
        batch.clear();
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        self.release_held(batch);
        let most = self.limits.statements.max(1);
        while batch.len() < most && batch.variants().len() < most {
            match self.add(batch) {
                Ok(true) => {}
                Ok(false) => break,
                Err(fault) => {
                    if batch.is_empty() && batch.variants().is_empty() {
                        return Err(fault);
                    }
                    self.fault = Some(fault);
                    break;
                }
            }
        }
        Ok(!batch.is_empty() || !batch.variants().is_empty())
    }
}

/// Appends a statement, and inserts a missing id and timestamp after its opening brace.
fn push(batch: &mut Batch, source_name: &Arc<str>, statement: &Statement<'_>, run_time: &str) {
    let Statement { bytes, head, position } = statement;
    let id = head.id.0.unwrap_or_else(|| Uuid::new_v5(&Uuid::NAMESPACE_OID, bytes));
    let added = Added { id: head.id.0.is_none(), timestamp: !head.timestamp.0 };
    batch.begin_source(source_name);
    batch.push(id, *position, added, |body| {
        body.push(b'{');
        if added.id {
            body.extend_from_slice(b"\"id\":\"");
            body.extend_from_slice(
                id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes(),
            );
            body.extend_from_slice(b"\",");
        }
        if added.timestamp {
            body.extend_from_slice(b"\"timestamp\":\"");
            body.extend_from_slice(run_time.as_bytes());
            body.extend_from_slice(b"\",");
        }
        body.extend_from_slice(&bytes[1..]);
    });
}

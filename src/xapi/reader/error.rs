//! What can be wrong with an input, said so that a person finds the place.

use std::fmt;
use std::sync::Arc;

use crate::xapi::batch::Position;

/// A fault of an input. Reading can go on after it: behind the statement, or, when the fault leaves no
/// way to tell where the next statement begins, with the next input.
#[derive(Debug, thiserror::Error)]
pub struct ReadError {
    /// The file's path, or `standard input`.
    pub source_name: Arc<str>,
    /// The statement at fault; faults of a whole input have none.
    pub position: Option<Position>,
    #[source]
    pub problem: Problem,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.source_name)?;
        if let Some(position) = self.position {
            write!(f, "{position}: ")?;
        }
        write!(f, "{}", self.problem)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("cannot be opened: {0}")]
    Open(std::io::Error),
    #[error("cannot be read: {0}")]
    Read(std::io::Error),
    #[error("the gzip data is cut short")]
    GzipCutShort,
    #[error("the gzip data is damaged: {0}")]
    GzipDamaged(std::io::Error),
    #[error("neither JSON nor gzip: it begins with {0}")]
    NotStatements(String),
    #[error("there are no statements in it")]
    Empty,
    #[error("there are no statement files in it (looked for names ending in {0})")]
    EmptyDirectory(String),
    #[error("not JSON at byte {byte}: {reason}")]
    NotJson { byte: u64, reason: String },
    #[error("the input ends in the middle of it")]
    CutShort,
    #[error("the input ends before the array's closing bracket")]
    ArrayCutShort,
    #[error("larger than {0} MiB")]
    TooLarge(usize),
    #[error("the text is not UTF-8 at byte {0}")]
    NotUtf8(u64),
    #[error("not a statement: {0}")]
    NotAStatement(String),
}

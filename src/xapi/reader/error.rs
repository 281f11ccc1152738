//! The faults of an input, with their positions.

use std::fmt;
use std::sync::Arc;

use crate::xapi::batch::Position;

/// A fault of an input. Reading continues with the next statement. When its beginning is unknown, reading continues with the
/// next input.
#[derive(Debug, thiserror::Error)]
pub struct ReadError {
    /// The file's path, or `standard input`.
    pub source_name: Arc<str>,
    /// The invalid statement. None for a fault of the whole input.
    pub position: Option<Position>,
    #[source]
    pub problem: Problem,
    /// The bytes of the input that were skipped. 0: only the statement.
    pub unread: u64,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.source_name)?;
        if let Some(position) = self.position {
            write!(f, "{position}: ")?;
        }
        write!(f, "{}", self.problem)?;
        match self.unread {
            0 => Ok(()),
            1 => f.write_str("; 1 byte was not read"),
            bytes => write!(f, "; {} bytes were not read", crate::output::units::count(bytes)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("cannot be opened: {0}")]
    Open(std::io::Error),
    #[error("cannot be read: {0}")]
    Read(std::io::Error),
    #[error("the gzip data is truncated")]
    GzipTruncated,
    #[error("the gzip data is damaged: {0}")]
    GzipDamaged(std::io::Error),
    #[error("neither JSON nor gzip: it begins with {0}")]
    NotStatements(String),
    #[error("contains no statements")]
    Empty,
    #[error("contains no statement files (searched for names that end in {0})")]
    EmptyDirectory(String),
    #[error("not JSON at byte {byte}: {reason}")]
    NotJson { byte: u64, reason: String },
    #[error("the input ends inside the statement")]
    Truncated,
    #[error("the input ends before the array's closing bracket")]
    ArrayTruncated,
    #[error("larger than {0} MiB")]
    TooLarge(usize),
    #[error("the text is not UTF-8 at byte {0}")]
    NotUtf8(u64),
    #[error("the text has an unpaired surrogate at byte {0}")]
    LoneSurrogate(u64),
    #[error("not a statement: {0}")]
    NotAStatement(String),
}

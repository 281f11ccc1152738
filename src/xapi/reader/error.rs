//! What can be wrong with an input, with the place of each fault.

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
    /// Bytes of the input that were passed over because of it. 0: nothing beside the statement.
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
    #[error("the text has half a surrogate pair at byte {0}")]
    LoneSurrogate(u64),
    #[error("not a statement: {0}")]
    NotAStatement(String),
}

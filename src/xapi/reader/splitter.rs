//! Splits the bytes of one input into statements.

use std::io;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::error::Category;

use super::error::{Problem, ReadError};
use super::head::Head;
use super::input::Opened;
use super::window::Window;
use crate::xapi::batch::Position;
use crate::xapi::surrogates;

const MIB: usize = 1 << 20;
/// The size of the window in bytes, unless a statement is larger.
const WINDOW: usize = 256 << 10;
/// The maximum size of a statement in bytes.
const MAX_STATEMENT: usize = 16 * MIB;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Iterates over the statements of an input.
pub struct Splitter {
    opened: Opened,
    window: Window,
    expected: Expected,
    /// The number of statements so far.
    statements: u64,
    /// The length of the last returned statement, which stays in the window until the next call.
    returned: usize,
    /// Whether a fault prevents finding the next statement.
    is_abandoned: bool,
}

/// A statement in the splitter's window.
pub struct Statement<'a> {
    pub bytes: &'a [u8],
    pub head: Head,
    pub position: Position,
}

/// The token that may follow, outside of statements.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// A statement, an array, or the end of the input.
    Value,
    /// The first statement of an array, or its end.
    FirstElement,
    /// The statement after a comma.
    Element,
    /// A comma, or the end of the array.
    Separator,
}

impl Splitter {
    pub fn new(opened: Opened) -> Self {
        Self::with_window(opened, WINDOW)
    }

    fn with_window(opened: Opened, size: usize) -> Self {
        Self {
            opened,
            window: Window::new(size),
            expected: Expected::Value,
            statements: 0,
            returned: 0,
            is_abandoned: false,
        }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.opened.name
    }

    /// The next statement. None at the end of the input.
    ///
    /// # Errors
    /// A fault of the input. The next call continues after the invalid statement. When its end is unknown, the next call
    /// continues with the next line that begins with a statement, except inside an array.
    pub fn next(&mut self) -> Result<Option<Statement<'_>>, ReadError> {
        self.window.consume(std::mem::take(&mut self.returned));
        if self.is_abandoned {
            return Ok(None);
        }
        match self.seek_statement() {
            Ok(true) => self.statements += 1,
            Ok(false) => return Ok(None),
            Err(problem) => return Err(self.recover(problem)),
        }
        let (head, length) = match self.parse::<Head>().map_err(|problem| self.recover(problem))? {
            Parsed::Fits(head, length) => (Ok(head), length),
            Parsed::Other(reason) => match self
                .parse::<IgnoredAny>()
                .map_err(|problem| self.recover(problem))?
            {
                Parsed::Fits(_, length) => (Err(Problem::NotAStatement(reason)), length),
                Parsed::Other(reason) => return Err(self.recover(Problem::NotAStatement(reason))),
            },
        };
        self.returned = length;
        if self.expected != Expected::Value {
            self.expected = Expected::Separator;
        }
        let position = self.position();
        match head.and_then(|head| self.check(head, length)) {
            Ok(head) => {
                Ok(Some(Statement { bytes: &self.window.bytes()[..length], head, position }))
            }
            Err(problem) => Err(self.fault(problem)),
        }
    }

    /// Checks the encoding of the text and the mandatory keys, which the parser does not.
    fn check(&self, head: Head, length: usize) -> Result<Head, Problem> {
        if let Err(error) = std::str::from_utf8(&self.window.bytes()[..length]) {
            return Err(Problem::NotUtf8(self.window.offset() + error.valid_up_to() as u64));
        }
        if let Some(offset) = surrogates::unpaired(&self.window.bytes()[..length]) {
            return Err(Problem::LoneSurrogate(self.window.offset() + offset as u64));
        }
        match head.missing() {
            Some(key) => Err(Problem::NotAStatement(format!("it has no `{key}`"))),
            None => Ok(head),
        }
    }

    /// Consumes the tokens before the next statement. False at the end of the input.
    fn seek_statement(&mut self) -> Result<bool, Problem> {
        loop {
            let Some(byte) = self.next_byte()? else {
                return match self.expected {
                    Expected::Value => Ok(false),
                    _ => Err(Problem::ArrayTruncated),
                };
            };
            self.expected = match (self.expected, byte) {
                (Expected::Value | Expected::FirstElement | Expected::Element, b'{') => {
                    return Ok(true);
                }
                (Expected::Value, b'[') => Expected::FirstElement,
                (Expected::FirstElement | Expected::Separator, b']') => Expected::Value,
                (Expected::Separator, b',') => Expected::Element,
                _ => return Err(self.unexpected()),
            };
            self.window.consume(1);
        }
    }

    /// The next byte other than white space. It is not consumed.
    fn next_byte(&mut self) -> Result<Option<u8>, Problem> {
        loop {
            let bytes = self.window.bytes();
            let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            if let Some(&byte) = bytes.get(blank) {
                self.window.consume(blank);
                return Ok(Some(byte));
            }
            let is_at_start = self.window.offset() == 0 && bytes.is_empty();
            self.window.consume(blank);
            if !self.read_more()? {
                return Ok(None);
            }
            if is_at_start && self.window.bytes().starts_with(BYTE_ORDER_MARK) {
                self.window.consume(BYTE_ORDER_MARK.len());
            }
        }
    }

    /// Parses the object at the start of the window. Reads more input until the object is complete.
    fn parse<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Parsed<T>, Problem> {
        loop {
            let bytes = self.window.bytes();
            let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<T>();
            let problem = match values.next() {
                Some(Ok(_)) if values.byte_offset() > MAX_STATEMENT => {
                    return Err(Problem::TooLarge(MAX_STATEMENT / MIB));
                }
                Some(Ok(value)) => return Ok(Parsed::Fits(value, values.byte_offset())),
                Some(Err(error)) if error.classify() == Category::Data => {
                    return Ok(Parsed::Other(reason(&error)));
                }
                Some(Err(error)) if error.classify() == Category::Syntax => {
                    let offset = error_offset(bytes, &error);
                    let problem = Problem::NotJson {
                        byte: self.window.offset() + offset as u64,
                        reason: reason(&error),
                    };
                    // the parser rejects a number that the end of the window truncates
                    if offset + 1 < bytes.len() {
                        return Err(problem);
                    }
                    problem
                }
                Some(Err(_)) | None => Problem::Truncated,
            };
            if bytes.len() > MAX_STATEMENT {
                return Err(Problem::TooLarge(MAX_STATEMENT / MIB));
            }
            if !self.read_more()? {
                return Err(problem);
            }
        }
    }

    fn read_more(&mut self) -> Result<bool, Problem> {
        self.window.read_more(&mut self.opened.bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof if self.opened.compressed => Problem::GzipTruncated,
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData if self.opened.compressed => {
                Problem::GzipDamaged(error)
            }
            _ => Problem::Read(error),
        })
    }

    fn unexpected(&self) -> Problem {
        let bytes = self.window.bytes();
        if self.statements == 0 && self.expected == Expected::Value {
            let beginning = bytes[..bytes.len().min(12)].escape_ascii();
            return Problem::NotStatements(format!("`{beginning}`"));
        }
        let wanted = match self.expected {
            Expected::Value => "a statement or an array of statements",
            Expected::FirstElement => "a statement or `]`",
            Expected::Element => "a statement",
            Expected::Separator => "`,` or `]`",
        };
        let reason = format!("expected {wanted}, found `{}`", bytes[..1].escape_ascii());
        Problem::NotJson { byte: self.window.offset(), reason }
    }

    fn position(&self) -> Position {
        Position { statement: self.statements, byte: Some(self.window.offset()) }
    }

    fn fault(&self, problem: Problem) -> ReadError {
        let whole_input = matches!(problem, Problem::NotStatements(_));
        let position = (!whole_input).then(|| self.position());
        ReadError { source_name: Arc::clone(self.name()), position, problem, unread: 0 }
    }

    /// Skips as little as possible after a fault.
    fn recover(&mut self, problem: Problem) -> ReadError {
        let mut fault = self.fault(problem);
        let begin = self.window.offset();
        match &fault.problem {
            // an input of lines may begin with a truncated line
            Problem::NotStatements(_) => {
                self.is_abandoned = !self.has_statement_line();
                if self.is_abandoned {
                    return fault;
                }
                self.statements += 1;
                fault = self.fault(Problem::NotJson {
                    byte: begin,
                    reason: "expected a statement or an array of statements".into(),
                });
                self.is_abandoned = !self.seek_line();
            }
            Problem::NotJson { .. }
            | Problem::TooLarge(_)
            | Problem::Truncated
            | Problem::NotAStatement(_) => {
                self.is_abandoned = self.expected != Expected::Value || !self.seek_line();
            }
            _ => self.is_abandoned = true,
        }
        if self.is_abandoned {
            self.window.consume(self.window.bytes().len());
            // after a failure of the input, the remaining bytes are not counted
            while self.read_more().is_ok_and(|more| more) {
                self.window.consume(self.window.bytes().len());
            }
        }
        if matches!(fault.problem, Problem::NotJson { .. } | Problem::TooLarge(_)) {
            fault.unread = self.window.offset() - begin;
        }
        fault
    }

    fn has_statement_line(&self) -> bool {
        memchr::memmem::find(self.window.bytes(), b"\n{").is_some()
    }

    /// Consumes bytes until a line that begins with a statement or an array. False: there is none.
    fn seek_line(&mut self) -> bool {
        self.window.consume(1);
        loop {
            let bytes = self.window.bytes();
            match memchr::memchr(b'\n', bytes) {
                Some(newline) if newline + 1 < bytes.len() => {
                    let is_statement = matches!(bytes[newline + 1], b'{' | b'[');
                    self.window.consume(newline + 1);
                    if is_statement {
                        return true;
                    }
                }
                // the byte after the newline is not read yet
                found => {
                    self.window.consume(found.unwrap_or(bytes.len()));
                    // the next read reports the failure
                    match self.read_more() {
                        Ok(true) => {}
                        Ok(false) | Err(_) => return false,
                    }
                }
            }
        }
    }
}

enum Parsed<T> {
    /// The value and its length in bytes.
    Fits(T, usize),
    /// JSON of another type, with the reason.
    Other(String),
}

/// The parser's message without line and column, which are relative to the statement.
fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.rsplit_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => message,
    }
}

/// The offset of a parse error in `bytes`.
fn error_offset(bytes: &[u8], error: &serde_json::Error) -> usize {
    let line_start = match error.line() {
        0 | 1 => 0,
        line => memchr::memchr_iter(b'\n', bytes).nth(line - 2).map_or(0, |newline| newline + 1),
    };
    line_start + error.column().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn statement() -> impl Strategy<Value = String> {
        let number = prop::sample::select(vec![
            "-0.5", "12.25e-3", "1E+9", "0", "-7", "true", "false", "null",
        ]);
        let text = prop::sample::select(vec![r"é日😀", r"\u00e9\ud83d\ude00", r#"\"{[,]}\\"#, ""]);
        let blank = "[ \r\n\t]{0,2}";
        (number, text, blank).prop_map(|(number, text, blank)| {
            let id = "00000000-0000-4000-8000-00000000000a";
            format!(r#"{{"id":"{id}",{blank}"actor":{number}{blank},"verb":["{text}",{{}},{number}],"object":{blank}"{text}"{blank}}}"#)
        })
    }

    fn split(text: &str, window: usize) -> Result<Vec<String>, String> {
        let bytes = Box::new(Cursor::new(text.as_bytes().to_vec()));
        let mut splitter = Splitter::with_window(
            Opened { name: "input".into(), bytes, compressed: false },
            window,
        );
        let mut statements = Vec::new();
        while let Some(found) = splitter.next().map_err(|error| error.to_string())? {
            statements.push(String::from_utf8(found.bytes.to_vec()).unwrap());
        }
        Ok(statements)
    }

    proptest! {
        #[test]
        fn statements_do_not_depend_on_window_size(
            statements in prop::collection::vec(statement(), 1..6),
            window in 1_usize..400,
            blank in "[ \n]{0,3}",
        ) {
            let array = format!("[{}]", statements.join(&format!("{blank},{blank}")));
            prop_assert_eq!(split(&array, window), Ok(statements.clone()));
            prop_assert_eq!(split(&statements.join(&blank), window), Ok(statements));
        }
    }
}

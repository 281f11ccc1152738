//! Finds the statements in the bytes of one input, however they are put together.

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
/// Bytes looked at together, unless a statement is larger.
const WINDOW: usize = 256 << 10;
/// The largest statement that is read.
const LARGEST: usize = 16 * MIB;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Walks through an input from statement to statement.
pub struct Splitter {
    opened: Opened,
    window: Window,
    expected: Expected,
    /// Statements begun so far.
    statements: u64,
    /// Length of the statement handed out last: it stays in the window until the next one is asked for.
    handed_out: usize,
    /// After this fault no statement can be told from the next.
    given_up: bool,
}

/// A statement in the splitter's window.
pub struct Found<'a> {
    pub bytes: &'a [u8],
    pub head: Head,
    pub position: Position,
}

/// What may come next, outside of statements.
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
            handed_out: 0,
            given_up: false,
        }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.opened.name
    }

    /// The next statement, or nothing at the end of the input.
    ///
    /// After a fault the next call goes on behind the statement. When the end of the statement is unknown, it goes on
    /// with the next line that begins with a statement, but not inside of an array.
    pub fn next(&mut self) -> Result<Option<Found<'_>>, ReadError> {
        self.window.consume(std::mem::take(&mut self.handed_out));
        if self.given_up {
            return Ok(None);
        }
        match self.go_to_statement() {
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
        self.handed_out = length;
        if self.expected != Expected::Value {
            self.expected = Expected::Separator;
        }
        let position = self.position();
        match head.and_then(|head| self.check(head, length)) {
            Ok(head) => Ok(Some(Found { bytes: &self.window.bytes()[..length], head, position })),
            Err(problem) => Err(self.fault(problem)),
        }
    }

    /// What the parser leaves unlooked at: the text's encoding and the keys a statement must have.
    fn check(&self, head: Head, length: usize) -> Result<Head, Problem> {
        if let Err(error) = std::str::from_utf8(&self.window.bytes()[..length]) {
            return Err(Problem::NotUtf8(self.window.offset() + error.valid_up_to() as u64));
        }
        if let Some(place) = surrogates::lone(&self.window.bytes()[..length]) {
            return Err(Problem::LoneSurrogate(self.window.offset() + place as u64));
        }
        match head.missing() {
            Some(key) => Err(Problem::NotAStatement(format!("it has no `{key}`"))),
            None => Ok(head),
        }
    }

    /// Walks over what stands between statements. False at the end of the input.
    fn go_to_statement(&mut self) -> Result<bool, Problem> {
        loop {
            let Some(byte) = self.next_byte()? else {
                return match self.expected {
                    Expected::Value => Ok(false),
                    _ => Err(Problem::ArrayCutShort),
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

    /// The next byte that is no white space, not yet consumed.
    fn next_byte(&mut self) -> Result<Option<u8>, Problem> {
        loop {
            let bytes = self.window.bytes();
            let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            if let Some(&byte) = bytes.get(blank) {
                self.window.consume(blank);
                return Ok(Some(byte));
            }
            let at_the_beginning = self.window.offset() == 0 && bytes.is_empty();
            self.window.consume(blank);
            if !self.read_more()? {
                return Ok(None);
            }
            if at_the_beginning && self.window.bytes().starts_with(BYTE_ORDER_MARK) {
                self.window.consume(BYTE_ORDER_MARK.len());
            }
        }
    }

    /// Parses the object at the window's start, reading on until it is whole.
    fn parse<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Parsed<T>, Problem> {
        loop {
            let bytes = self.window.bytes();
            let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<T>();
            let problem = match values.next() {
                Some(Ok(_)) if values.byte_offset() > LARGEST => {
                    return Err(Problem::TooLarge(LARGEST / MIB));
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
                    // A number that the window's end cuts is taken for a wrong one.
                    if offset + 1 < bytes.len() {
                        return Err(problem);
                    }
                    problem
                }
                Some(Err(_)) | None => Problem::CutShort,
            };
            if bytes.len() > LARGEST {
                return Err(Problem::TooLarge(LARGEST / MIB));
            }
            if !self.read_more()? {
                return Err(problem);
            }
        }
    }

    fn read_more(&mut self) -> Result<bool, Problem> {
        self.window.read_more(&mut self.opened.bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof if self.opened.compressed => Problem::GzipCutShort,
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

    /// Passes over what cannot be read, as little as possible.
    fn recover(&mut self, problem: Problem) -> ReadError {
        let mut fault = self.fault(problem);
        let begin = self.window.offset();
        match &fault.problem {
            // an input that does not begin with a statement may still be lines, and its first one torn
            Problem::NotStatements(_) => {
                self.given_up = !self.has_line_in_window();
                if self.given_up {
                    return fault;
                }
                self.statements += 1;
                fault = self.fault(Problem::NotJson {
                    byte: begin,
                    reason: "expected a statement or an array of statements".into(),
                });
                self.given_up = !self.go_to_line();
            }
            Problem::NotJson { .. }
            | Problem::TooLarge(_)
            | Problem::CutShort
            | Problem::NotAStatement(_) => {
                self.given_up = self.expected != Expected::Value || !self.go_to_line();
            }
            _ => self.given_up = true,
        }
        if self.given_up {
            self.window.consume(self.window.bytes().len());
            // a failure of the input ends what can be counted
            while self.read_more().is_ok_and(|more| more) {
                self.window.consume(self.window.bytes().len());
            }
        }
        if matches!(fault.problem, Problem::NotJson { .. } | Problem::TooLarge(_)) {
            fault.unread = self.window.offset() - begin;
        }
        fault
    }

    fn has_line_in_window(&self) -> bool {
        memchr::memmem::find(self.window.bytes(), b"\n{").is_some()
    }

    /// Goes to the next line that begins with a statement or an array. False when there is none.
    fn go_to_line(&mut self) -> bool {
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
                // what follows the newline is not read yet
                found => {
                    self.window.consume(found.unwrap_or(bytes.len()));
                    // the failure is named by whoever reads next
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
    /// JSON, but not of this type; says why.
    Other(String),
}

/// The parser's message without its line and column, which count from the statement's beginning.
fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.rsplit_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => message,
    }
}

/// Offset in `bytes` of what the parser stumbled over.
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
        fn where_the_window_ends_makes_no_difference(
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
